"""Every key below a `_target_` is an argument of that constructor, checked before it is called."""

import inspect
import pydoc
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf

from medlight.cli.overrides import did_you_mean
from medlight.core.errors import ConfigError

_HYDRA_KEYS = {"_target_", "_partial_", "_args_", "_recursive_", "_convert_"}


def check_targets(cfg: DictConfig) -> None:
    """Check the keys of a configuration against the constructors that take them.

    Hydra finds out only when it calls the constructor, and for a partial much later still.

    Raises:
        ConfigError: the first key that a constructor does not take, or word in place of a number.
    """
    for path, node in _targets(cfg, ""):
        name = str(node["_target_"])
        target = _locate(name, path)
        known = _parameters(target)
        if known is None:
            continue
        numbers = _numbers(target)
        for word in map(str, node):
            if word not in known and word not in _HYDRA_KEYS:
                raise ConfigError(
                    f"{path}.{word}: {name} takes no {word}{did_you_mean(word, known)}"
                )
            if word in numbers and _is_literal(node, word) and isinstance(node[word], str):
                raise ConfigError(f"{path}.{word} takes a number, got {node[word]}")


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


def _numbers(target: Any) -> set[str]:
    """Those of its arguments that may be fractions and no text, as far as it says."""
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # names that exist for type checkers only
        return set()
    kinds = {name: (hint, *get_args(hint)) for name, hint in hints.items()}
    return {
        name for name, each in kinds.items() if float in each and not any(map(_accepts_text, each))
    }


def _accepts_text(kind: Any) -> bool:
    return kind is str or get_origin(kind) is Literal
