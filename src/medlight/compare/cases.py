"""cases.csv as arrays: what each case scored, whichever task wrote it."""

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.compare.case_scores import CaseScores, case_scores
from medlight.core.errors import DataError
from medlight.core.outcome import OutcomeSpec
from medlight.tasks.outcome_of_columns import outcome_of_columns

OUTCOME_FILE = "outcome.json"
STAGE = "test"


def read_case_scores(folder: Path) -> CaseScores:
    """The cases of a run directory, from `cases.csv` or `cases.csv.gz`.

    DataError says which file cannot be used, and why.
    """
    path = next((p for p in (folder / "cases.csv", folder / "cases.csv.gz") if p.exists()), None)
    if path is None:
        raise DataError(
            f"{folder}: no cases.csv, so nothing was tested; medlight evaluate run={folder}"
        )
    columns = _columns(path)
    tests = np.array([stage == STAGE for stage in columns.get("stage", [])], dtype=bool)
    if not tests.any():
        raise DataError(f"{path}: no line of stage {STAGE!r}")
    kept = {name: _take(column, tests) for name, column in columns.items()}
    return case_scores(path, kept, read_outcome(folder, kept))


def read_outcome(folder: Path, columns: Mapping[str, Sequence[str]]) -> OutcomeSpec:
    """What the rows of a run are; runs of before outcome.json are told by their columns."""
    path = folder / OUTCOME_FILE
    if not path.is_file():
        try:
            return outcome_of_columns(columns)
        except DataError as error:
            raise DataError(f"{folder}: {error}") from None
    try:
        return OutcomeSpec.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _columns(path: Path) -> dict[str, list[str]]:
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            head, *lines = list(csv.reader(file)) or [[]]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    short = next((n for n, line in enumerate(lines, 2) if len(line) != len(head)), None)
    if short is not None:
        raise DataError(
            f"{path}: line {short} has {len(lines[short - 2])} columns instead of {len(head)}; "
            f"it was not written to the end"
        )
    needed = {"case", "patient", "stage"}
    if missing := sorted(needed - set(head)):
        raise DataError(f"{path}: no column {', '.join(missing)}; another version wrote it")
    if not lines:
        raise DataError(f"{path}: no case in it")
    return dict(zip(head, map(list, zip(*lines, strict=True)), strict=True))


def _take(column: Sequence[str], which: NDArray[np.bool_]) -> list[str]:
    return [value for value, keep in zip(column, which, strict=True) if keep]
