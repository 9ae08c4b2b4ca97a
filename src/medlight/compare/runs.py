"""Run directories, read as they lie: nothing here needs the data, the net or Hydra."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from medlight.compare.case_scores import CaseScores
from medlight.compare.cases import read_case_scores
from medlight.core.errors import ConfigError, DataError, DataNotFoundError
from medlight.runs.renames import rename_config

RUN_FILES = ("config.yaml", "provenance.json", "cases.csv", "cases.csv.gz", "metrics.json")
"""A folder with one of these is a run directory."""
DEPTH = 4
"""How deep below a named folder run directories are looked for."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run.

    Attributes:
        path: its directory.
        config: "group.key" to a value, as saved.
        provenance: the content of provenance.json.
        cases: what it was tested on, and how well it did.
    """

    path: Path
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    cases: CaseScores

    def get(self, dotted: str) -> Any:
        """A value of the provenance; None where there is none."""
        value: Any = self.provenance
        for key in dotted.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    @property
    def seed(self) -> str:
        return str(self.provenance.get("seed", self.config.get("seed")))

    @property
    def fold(self) -> str:
        return str(self.get("split.fold"))


@dataclass(frozen=True, slots=True)
class Skipped:
    """A run directory that is no part of the comparison, and why."""

    path: Path
    reason: str


def read_runs(paths: Sequence[str | Path]) -> tuple[list[Run], list[Skipped]]:
    """The runs that are named, and all whole ones below a named folder of runs.

    What is named itself must be whole; DataError says what is wrong with it. Of a folder of runs
    those that are not whole are left out and returned with the reason.
    """
    runs: dict[Path, Run] = {}
    skipped: list[Skipped] = []
    for place in map(Path, paths):
        if not place.is_dir():
            raise DataNotFoundError(f"{place}: no such directory; name a run or a folder of runs")
        if is_run(place):
            runs.setdefault(place.resolve(), read_run(place))
            continue
        found = list(find_runs(place))
        if not found:
            raise DataNotFoundError(f"{place}: no run directory in it ({', '.join(RUN_FILES[:3])})")
        for path in found:
            try:
                runs.setdefault(path.resolve(), read_run(path))
            except DataError as error:
                skipped.append(Skipped(path, str(error).removeprefix(f"{path}: ")))
    if not runs:
        listed = "; ".join(f"{s.path}: {s.reason}" for s in skipped[:3])
        raise ConfigError(f"no whole run to compare: {listed}")
    return list(runs.values()), skipped


def is_run(folder: Path) -> bool:
    return any((folder / mark).is_file() for mark in RUN_FILES)


def find_runs(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Run directories below a folder, by name; not below another run directory."""
    for path in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if is_run(path):
            yield path
        elif depth > 1:
            yield from find_runs(path, depth - 1)


def read_run(folder: Path) -> Run:
    """DataError names what is missing or cannot be read."""
    provenance = _json(folder / "provenance.json")
    status = provenance.get("status")
    if status not in ("finished", None):
        raise DataError(f"{folder}: the run is {status!r}, not finished; medlight resume={folder}")
    return Run(folder, _config(folder / "config.yaml"), provenance, read_case_scores(folder))


def read_curves(run: Run) -> dict[str, list[tuple[float, float]]]:
    """Each column of curves.csv as (epoch, value) pairs; empty where there is no such file."""
    path = run.path / "curves.csv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, text in row.items():
            try:
                pair = (float(row["epoch"]), float(text))
            except (KeyError, TypeError, ValueError):
                continue
            if name not in ("epoch", "step", "seconds"):
                curves.setdefault(name, []).append(pair)
    return curves


def flatten(tree: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of nested mappings by dotted names; lists are leaves."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path.parent}: no {path.name}; the run was not begun here") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds no mapping; another version wrote it")
    return content


def _config(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}  # a run made in Python has none
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    return dict(flatten(rename_config(content or {})))
