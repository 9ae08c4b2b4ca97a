"""What makes two jobs the same: what they compute, on which data, by which code."""

import hashlib
import importlib.util
import json
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

import medlight
from medlight.runs.config_keys import Role, select_settings

KEY_LENGTH = 12


def job_key(cfg: DictConfig, data: str) -> str:
    """The name of a job: a hash of its settings, its data's fingerprint and the code."""
    settings = relevant_settings(cfg)
    parts = [json.dumps(settings, sort_keys=True), data, code_hash(find_targets(settings))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:KEY_LENGTH]


def relevant_settings(cfg: DictConfig) -> dict[str, Any]:
    """Give the resolved configuration without what cannot change a result, but with its verb."""
    cfg = cfg.copy()
    with open_dict(cfg):
        for key in cfg.paths or {}:
            cfg.paths[key] = ""
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    return {"job": plain["job"], **select_settings(plain, (Role.REPEAT, Role.ARITHMETIC))}


def find_targets(settings: Any) -> set[str]:
    """Every `_target_` below."""
    return set(_targets(settings))


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _targets(each)


def code_hash(names: Iterable[str]) -> str:
    """A hash of medlight's code, and of the user's modules among the top levels of `names`.

    Installed libraries do not count: their versions stand in each run's provenance.json.
    """
    tops = {"medlight", *(name.partition(".")[0] for name in names)}
    return "".join(_hash(place) for top in sorted(tops) for place in _source_paths(top))


def _source_paths(top: str) -> list[Path]:
    if top == "medlight":
        return [Path(medlight.__file__).parent]
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        return []
    file = Path(str(spec.origin)).resolve()
    installed = [Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "purelib")]
    if any(file.is_relative_to(folder) for folder in installed):
        return []
    return [file.parent if file.name == "__init__.py" else file]


@cache
def _hash(place: Path) -> str:
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    total = hashlib.sha256()
    for file in files:
        total.update(file.relative_to(place.parent).as_posix().encode() + b"\0")
        total.update(file.read_bytes() + b"\0")
    return total.hexdigest()
