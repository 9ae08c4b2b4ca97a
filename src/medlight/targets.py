"""Every key below a `_target_` is an argument of that constructor, checked before it is called."""

import inspect
import pydoc
from collections.abc import Callable, Iterator
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf

from medlight.core.errors import ConfigError
from medlight.suggest import near

_HYDRA_KEYS = {"_target_", "_partial_", "_args_", "_recursive_", "_convert_"}


def check_targets(cfg: DictConfig) -> None:
    """Raise ConfigError for the first key that a constructor does not take.

    Hydra finds out only when it calls the constructor, and for a partial much later still.
    """
    for path, node in _targets(cfg, ""):
        name = str(node["_target_"])
        known = _parameters(name, path)
        if known is None:
            continue
        for word in map(str, node):
            if word not in known and word not in _HYDRA_KEYS:
                raise ConfigError(f"{path}.{word}: {name} takes no {word}{near(word, known)}")


def _targets(node: Any, path: str) -> Iterator[tuple[str, DictConfig]]:
    if isinstance(node, DictConfig) and "_target_" in node:
        yield path, node
    keys: Any = range(len(node)) if isinstance(node, ListConfig) else node
    for key in keys:
        if OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key):
            continue  # checked where it stands
        if isinstance(node[key], DictConfig | ListConfig):
            yield from _targets(node[key], f"{path}.{key}" if path else str(key))


def _parameters(name: str, path: str) -> set[str] | None:
    """The names `name` takes; None where it takes any, or does not tell."""
    try:
        target = pydoc.locate(name)
    except pydoc.ErrorDuringImport as error:
        # The module is there, but importing it fails: that error is the one to see.
        raise (error.value or error) from None
    if target is None:
        raise ConfigError(f"{path}._target_: {name} does not exist")
    try:
        parameters = inspect.signature(cast(Callable[..., Any], target)).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    return {each.name for each in parameters if each.kind is not each.VAR_POSITIONAL}
