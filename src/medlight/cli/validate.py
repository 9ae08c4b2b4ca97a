"""Every key below a `_target_` is an argument of that constructor, checked before it is called."""

import inspect
import pydoc
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medlight.cli.config import NAMES, RunConfig
from medlight.cli.overrides import did_you_mean
from medlight.core.errors import ConfigError

_CONTAINERS = (Mapping, Sequence)
_HYDRA_KEYS = {"_target_", "_partial_", "_args_", "_recursive_", "_convert_"}


def check_targets(cfg: DictConfig, path: str = "") -> None:
    """Check the keys of a configuration against the constructors that take them.

    Hydra finds out only when it calls the constructor, and for a partial much later still.

    Args:
        cfg: a configuration, or what stands at `path` in one.
        path: where it stands.

    Raises:
        ConfigError: the first key that a constructor does not take, word in place of a number, or
            number in place of a name.
    """
    if OmegaConf.get_type(cfg) is RunConfig:
        check_names(cfg, "", NAMES)
    for where, node in _targets(cfg, path):
        name = str(node["_target_"])
        target = _locate(name, where)
        known = _parameters(target)
        if known is None:
            continue
        hints = _hints(target)
        numbers = _numbers(hints)
        check_names(node, where, hints)
        for word in map(str, node):
            if word not in known and word not in _HYDRA_KEYS:
                raise ConfigError(
                    f"{where}.{word}: {name} takes no {word}{did_you_mean(word, known)}"
                )
            if word in numbers and _is_literal(node, word) and isinstance(node[word], str):
                raise ConfigError(f"{where}.{word} takes a number, got {node[word]}")


def check_names(node: DictConfig, path: str, hints: Mapping[str, Any]) -> None:
    """Check that names are text: YAML makes the number 12 of 1_2.

    Args:
        node: holds them.
        path: where it stands.
        hints: key to its type.

    Raises:
        ConfigError: something else stands where the type of a key asks for text.
    """
    for word in sorted(hints.keys() & {*map(str, node)}):
        try:
            value = node[word]
            if isinstance(value, DictConfig | ListConfig):
                value = OmegaConf.to_container(value, resolve=True)
        except OmegaConfBaseException:  # missing, or refers to what is known later
            continue
        if value is not None:
            _check_text(value, hints[word], f"{path}.{word}".lstrip("."))


def _targets(node: Any, path: str) -> Iterator[tuple[str, DictConfig]]:
    if isinstance(node, DictConfig) and "_target_" in node:
        yield path, node
    keys: Any = range(len(node)) if isinstance(node, ListConfig) else node
    for key in keys:
        if _is_literal(node, key) and isinstance(node[key], DictConfig | ListConfig):
            yield from _targets(node[key], f"{path}.{key}" if path else str(key))


def _is_literal(node: Any, key: Any) -> bool:
    """Whether it has a value of its own: another's is checked where it stands."""
    return not (OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key))


def _locate(name: str, path: str) -> Any:
    try:
        target = pydoc.locate(name)
    except pydoc.ErrorDuringImport as error:
        # The module is there, but importing it fails: that error is the one to see.
        raise (error.value or error) from None
    if target is None:
        raise ConfigError(f"{path}._target_: {name} does not exist")
    return target


def _parameters(target: Any) -> set[str] | None:
    """The names `target` takes; None where it takes any, or does not tell."""
    try:
        parameters = inspect.signature(cast(Callable[..., Any], target)).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    return {each.name for each in parameters if each.kind is not each.VAR_POSITIONAL}


def _hints(target: Any) -> dict[str, Any]:
    """The types of its arguments, as far as it says."""
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # names that exist for type checkers only
        return {}


def _numbers(hints: Mapping[str, Any]) -> set[str]:
    """The arguments that may be fractions and no text."""
    kinds = {name: (hint, *get_args(hint)) for name, hint in hints.items()}
    return {
        name for name, each in kinds.items() if float in each and not any(map(_accepts_text, each))
    }


def _accepts_text(kind: Any) -> bool:
    return kind is str or get_origin(kind) is Literal


def _check_text(value: Any, hint: Any, key: str) -> None:
    """ConfigError if a value, or one in it, is no text, and its type asks for text."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    inner = {get_origin(kind): get_args(kind) for kind in kinds}
    if isinstance(value, dict) and ("_target_" in value or Mapping in inner):
        for name, each in value.items() if "_target_" not in value else ():
            _check_text(name, inner[Mapping][0], key)
            _check_text(each, inner[Mapping][1], f"{key}.{name}")
    elif isinstance(value, list) and Sequence in inner:
        for each in value:
            _check_text(each, inner[Sequence][0], key)
    elif {*kinds} <= {str, Path, NoneType, *(k for k in kinds if get_origin(k) in _CONTAINERS)}:
        if isinstance(value, str | Path) and not {str, Path} & {*kinds} and Sequence in inner:
            raise ConfigError(f"{key} takes a list, got {value}: type [{value}]")
        if not isinstance(value, str | Path) and {str, Path} & {*kinds}:
            what = "null" if value is None else f"the {type(value).__name__} {value}"
            raise ConfigError(
                f"{key} takes words, got {what}: put it in quotes, '1_2' in a yaml file, "
                f"\"{key}='1_2'\" in a command"
            )
