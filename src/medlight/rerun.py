"""`resume=` and `run=`: start from the config.yaml of a run instead of from conf/."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from medlight.config import load_config, shipped_hydra_settings
from medlight.core.errors import ConfigError

FREE = ("inference", "trainer", "logger", "paths", "callbacks")
"""What may change without making it another run."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """A run directory to start from, and by which of the two keys it was named."""

    key: str
    run_dir: str


def find_rerun(overrides: Sequence[Override], *, multirun: bool = False) -> Rerun | None:
    """Which run these overrides start from, if any. Raises where they contradict each other."""
    named = {o.key_or_group: o for o in overrides if o.key_or_group in ("run", "resume")}
    if not named:
        return None
    if len(named) == 2:
        raise ConfigError("run= and resume= exclude each other: give one")
    key, override = named.popitem()
    value = None if override.is_sweep_override() or override.is_delete() else override.value()
    if multirun or not isinstance(value, str):
        raise ConfigError(f"{key}= takes one run directory, got {override.input_line}")
    verbs = [o.value() for o in overrides if o.key_or_group == "job"]
    if key == "run" and verbs in ([], ["fit"]):
        raise ConfigError("run= says which run a verb works on: medlight evaluate run=...")
    if key == "resume" and verbs not in ([], ["fit"]):
        raise ConfigError(f"resume= continues training; {verbs[0]} takes run={value}")
    return Rerun(key, str(Path(value).expanduser()))


def primary_config(rerun: Rerun, overrides: Sequence[Override]) -> dict[str, Any]:
    """The run's own config in Hydra's terms: a defaults list of what `overrides` replace.

    A group that is chosen anew gives way as a whole; single keys are Hydra's to override.
    """
    free = [*FREE, "hydra", rerun.key, *(["job"] if rerun.key == "run" else [])]
    for override in overrides:
        root = override.key_or_group.partition(".")[0].partition("/")[0]
        if root not in free and override.input_line != "job=fit":
            raise ConfigError(
                f"{override.input_line} would make it another run: with {rerun.key}= only "
                f"{', '.join(free[: len(FREE)])} can change"
            )
    saved = cast(dict[str, Any], OmegaConf.to_container(load_config(rerun.run_dir)))
    saved.update(run=None, resume=None)
    chosen = {o.key_or_group for o in overrides if o.key_or_group in (*FREE, "job")}
    if isinstance(saved["paths"], dict):
        saved["paths"]["run_dir"] = "${hydra:runtime.output_dir}"
    hydra = shipped_hydra_settings()
    hydra["run"] = {"dir": rerun.run_dir}
    return {
        "defaults": ["run_config", "_self_", *({group: None} for group in sorted(chosen))],
        **{key: value for key, value in saved.items() if key not in chosen},
        "hydra": hydra,
    }


def parse_overrides(texts: Sequence[str]) -> list[Override]:
    """Raises Hydra's OverrideParseException, which names the text it stumbled on."""
    return OverridesParser.create().parse_overrides(list(texts))
