"""One line for what a user got wrong, with what is near it."""

import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Override
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medlight.cli.config import RunConfig
from medlight.cli.options import conf_dir, explain_os_error, groups
from medlight.cli.overrides import Groups, did_you_mean
from medlight.cli.rerun import parse_overrides
from medlight.core.errors import ConfigError, MedlightError

MAX_CHOICES = 16
"""Combinations of swept groups that are looked at for a key that one of them lacks."""


def explain_error(
    error: Exception, texts: Sequence[str], dirs: Sequence[Path], config_name: str
) -> str | None:
    """The one line for an expected error; None for one whose traceback should be seen."""
    if isinstance(error, MedlightError):
        return _from_worker(str(error))
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override}: quote the value, as in 'key=\"a, b\"'"
    if isinstance(error, ConfigCompositionException):
        return _composition(error, texts, dirs, config_name)
    if str(error).startswith("Unsupported item value in defaults"):  # of Hydra: 1_2 is a number
        return f"{error}; put the name of the configuration in quotes, as in model: '1_2'"
    cause = error.__cause__
    if isinstance(error, HydraException) and isinstance(cause, MedlightError):
        return _from_worker(str(cause))
    if isinstance(error, InstantiationException) and _is_refusal(cause):
        key = re.search(r"full_key: (\S+)", str(error))
        return f"{key[1]}: {_one_line(cause)}" if key else _one_line(cause)
    if isinstance(error, OmegaConfBaseException):
        return _one_line(error)
    return _one_line(error) if _is_refusal(error) else explain_os_error(error)


def _is_refusal(error: BaseException | None) -> TypeGuard[BaseException]:
    """Whether Lightning says that it cannot do what a setting asks; it is not imported here."""
    return type(error).__name__ == "MisconfigurationException"


def _composition(
    error: Exception, texts: Sequence[str], dirs: Sequence[Path], config_name: str
) -> str:
    tree = groups(dirs)
    try:
        overrides = parse_overrides([text for text in texts if not text.startswith("hydra")])
        choices = [o for o in overrides if o.key_or_group in tree]
        for choice in choices:
            _check_option(choice, tree)
        for words in itertools.islice(itertools.product(*map(_each, choices)), MAX_CHOICES):
            cfg = _compose_choices(list(words), config_name)
            for override in overrides:
                added = override.is_add() or override.is_force_add()
                if override not in choices and not added:
                    _check_key(override, cfg, tree)
    except ConfigError as found:
        return str(found)
    except (HydraException, OmegaConfBaseException) as deeper:
        error = deeper  # the yaml files themselves do not compose
    return _rephrase(error, tree)


def _each(choice: Override) -> list[str]:
    """The words of a choice; of a sweep over several, one for each."""
    if not choice.is_sweep_override():
        return [str(choice.input_line)]
    key = choice.get_key_element()
    return [f"{key}={value}" for value in choice.sweep_string_iterator()]


def _check_option(choice: Override, tree: Groups) -> None:
    if choice.is_delete():
        return
    options = tree[choice.key_or_group]
    values = choice.sweep_string_iterator() if choice.is_sweep_override() else [choice.value()]
    for value in values:
        for name in value if isinstance(value, list) else [value]:
            if name is not None and str(name) not in options:
                raise ConfigError(
                    f"{choice.key_or_group} has no option {name}{did_you_mean(str(name), options)}"
                )


def _check_key(override: Override, cfg: DictConfig, tree: Groups) -> None:
    node: Any = cfg
    parts = override.key_or_group.split(".")
    for depth, part in enumerate(parts):
        stem, wrong = ".".join(parts[:depth]), ".".join(parts[: depth + 1])
        raw = OmegaConf.to_container(node, resolve=False)
        known = {str(key): value for key, value in _pairs(raw)}
        if part not in known:
            if not stem:
                hint = did_you_mean(wrong, [*known, *tree], _paths(raw))
                raise ConfigError(f"there is no group or key {wrong}{hint}")
            add = "" if override.is_delete() else f" (+{override.input_line} adds it)"
            hint = did_you_mean(wrong, [f"{stem}.{each}" for each in known])
            raise ConfigError(f"there is no key {wrong}{hint}{add}")
        if depth == len(parts) - 1:
            return
        value = known[part]
        if isinstance(value, str) and value.startswith("${"):
            raise ConfigError(f"{wrong} is {value}: set {parts[depth + 1]} there")
        if not isinstance(value, dict | list):
            raise ConfigError(f"{wrong} is a value: there is no {override.key_or_group}")
        node = node[int(part) if isinstance(raw, list) else part]


def _compose_choices(choices: list[str], config_name: str) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(config_name, choices)


def _roots(tree: Groups) -> list[str]:
    return [*RunConfig.__dataclass_fields__, *tree]


def _pairs(plain: Any) -> Iterable[tuple[Any, Any]]:
    return plain.items() if isinstance(plain, dict) else enumerate(plain)


def _paths(plain: Any, stem: str = "") -> list[str]:
    """Every dotted key below, lists left out."""
    if not isinstance(plain, dict):
        return []
    names = {f"{stem}{key!s}": value for key, value in plain.items()}
    return [*names, *(path for name, value in names.items() for path in _paths(value, f"{name}."))]


def _rephrase(error: Exception, tree: Groups) -> str:
    """What Hydra says about a yaml file or a value, in our words where they are better."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        hint = did_you_mean(name, error.options)
        return f"{group} has no option {name}, which a defaults list asks for{hint}"
    if match := re.search(r"In '(.+)': Config\w+Error .*\nKey '(.+)' not in 'RunConfig'", text):
        where, key = match.groups()
        return f"{where}.yaml: there is no group or key {key}{did_you_mean(key, _roots(tree))}"
    if match := re.search(r"In '(.+)': Could not override '(.+)'\. No match", text):
        where, key = match.groups()
        return f"{where}.yaml: there is no group {key}{did_you_mean(key, tree)}"
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    """Several lines on one, without those that only a developer of Hydra reads."""
    lines = [line.strip() for line in f"{error}\n{error.__cause__ or ''}".splitlines()]
    dull = ("object_type", "reference_type", "full_key", "provider=", "Config search path")
    kept = dict.fromkeys(line for line in lines if line and not line.startswith(dull))
    text = "; ".join(kept).removeprefix("Error merging override ")
    key = getattr(error, "full_key", None)
    return f"{key}: {text}" if key and key not in text else text


def _from_worker(text: str) -> str:
    """Torch re-raises a worker's error with its traceback in the text; its last line is ours."""
    if "Original Traceback" not in text:
        return text
    return text.strip().splitlines()[-1].partition(": ")[2]
