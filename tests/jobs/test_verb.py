"""A verb declares what the command line builds for it."""

from pathlib import Path
from pydoc import locate
from typing import Any

import pytest
from omegaconf import OmegaConf

from medlight.cli.options import VERB_GROUP, conf_dir, groups, yaml_settings, yaml_summary
from medlight.core.errors import ConfigError
from medlight.jobs.verb import needs_of, verb

FILES = groups([conf_dir()])[VERB_GROUP]


def verb_function(name: str) -> Any:
    return locate(OmegaConf.load(FILES[name])["_target_"])


@pytest.mark.parametrize("name", FILES)
def test_every_verb_is_complete(name: str) -> None:
    """What it does not declare is a setting of its yaml file, and its help says what to type."""
    job = verb_function(name)
    needs = needs_of(job)
    settings = {str(key) for key in OmegaConf.load(FILES[name])} - {"_target_", "_convert_"}
    kinds = job.__kwdefaults__ or {}
    required = set(job.__annotations__) - set(kinds) - {"return"}
    assert required <= needs | settings
    assert settings <= set(job.__annotations__) - needs
    assert not {"task", "trainer"} & needs or {"data", "task", "trainer"} <= needs
    typed = " run=" in yaml_summary(FILES[name])
    assert typed >= bool({"run", "runs"} & needs)
    assert {
        key for key, (value, _) in yaml_settings(FILES[name]).items() if value == "???"
    } <= required


def test_a_renamed_argument_is_found_at_once() -> None:
    with pytest.raises(TypeError, match=r"declares \['data', 'run_dir'\], takes \['run_dir'\]"):

        @verb("data", "run_dir")
        def mine(*, dataset: Any, run_dir: Path) -> None: ...


def test_a_function_that_declares_nothing_is_no_verb() -> None:
    with pytest.raises(ConfigError, match="is no verb: decorate it with"):
        needs_of(lambda data: None)
