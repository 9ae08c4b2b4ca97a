"""Run directories, read as they lie: nothing here needs the data, the net or Hydra."""

import csv
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlight.compare.case_scores import CaseScores, read_case_scores
from medlight.core.errors import ConfigError, DataError, reading
from medlight.runs.directory import CURVES_FILE, PROVENANCE_FILE, RESTORE, RunDirectory
from medlight.runs.find import find_runs


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


class PartialRunError(DataError):
    """A run that was trained or tested on a part of its data: a try-out, not a result."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A run directory that is no part of the comparison, and why."""

    path: Path
    reason: str


def read_runs(paths: Sequence[str | Path]) -> tuple[list[Run], list[Skipped]]:
    """Read the runs that are named, and all whole ones below a named folder of runs.

    Returns:
        The runs, each once, and those below a folder or a pattern that are not whole.

    Raises:
        DataNotFoundError: one of the paths leads to no run.
        DataError: a run that is named itself is not whole; says what is wrong with it.
        ConfigError: no run is whole.
    """
    runs: dict[Path, Run] = {}
    skipped: list[Skipped] = []
    for place in paths:
        for path in find_runs(place):
            try:
                runs.setdefault(path.resolve(), read_run(path))
            except DataError as error:
                if path == Path(place).expanduser():
                    raise
                skipped.append(Skipped(path, str(error).removeprefix(f"{path}: ")))
    if not runs:
        listed = "; ".join(f"{s.path}: {s.reason}" for s in skipped[:3])
        raise ConfigError(f"no whole run to compare: {listed}")
    return list(runs.values()), skipped


def read_run(folder: Path) -> Run:
    """Read one run.

    Raises:
        PartialRunError: it was trained or tested on a part of its data.
        DataError: something is missing, or cannot be read.
    """
    directory = RunDirectory(folder)
    provenance = directory.provenance()
    if not provenance:
        raise DataError(f"{folder}: no {PROVENANCE_FILE}; the run was not begun here")
    if left_out := directory.left_out():
        raise PartialRunError(
            f"{folder}: a partial run, no result ({', '.join(left_out)}); train or evaluate it on "
            "all data, or leave it out"
        )
    status = provenance.get("status")
    if status not in ("finished", None):
        typed = f"medlight resume={shlex.quote(str(folder))}"
        raise DataError(f"{folder}: the run is {status!r}, not finished; {typed}")
    config = dict(flatten(directory.config()))
    return Run(folder, config, provenance, read_case_scores(folder))


def read_curves(run: Run) -> dict[str, list[tuple[float, float]]]:
    """Each column of curves.csv as (epoch, value) pairs; empty where there is no such file."""
    path = run.path / CURVES_FILE
    if not path.exists():
        return {}
    with reading(path, RESTORE), path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, text in row.items():
            try:
                pair = (float(row["epoch"]), float(text))
            except (KeyError, TypeError, ValueError):
                continue
            if name not in ("epoch", "step", "seconds") and all(map(math.isfinite, pair)):
                curves.setdefault(name, []).append(pair)
    return curves


def flatten(tree: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of nested mappings by dotted names; lists are leaves."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree
