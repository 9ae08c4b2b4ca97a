"""cases.csv as arrays: what each case scored, whichever task wrote it."""

import csv
import gzip
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError
from medlight.metrics.names import METRICS

STAGE = "test"
TEXT_COLUMNS = {"case", "patient", "fold", "stage", "class", "truth", "prediction"}
ALL_CLASSES = ""
"""The class of a score that belongs to the case as a whole."""

ScoreKey = tuple[str, str]
"""(metric, class); the class is "" for a score of the whole case."""


@dataclass(frozen=True, slots=True)
class CaseScores:
    """The test cases of one run, in the order of their ids.

    Attributes:
        kind: "segmentation" or "classification".
        ids, patients: of each of the N cases.
        classes: names, as cases.csv orders them; without a background.
        scores: (metric, class) to (N,) values, nan where there is none. Errors that have a sign
            ("zero" in metrics/names.py) come as their size.
        truth: what the reference says: voxels of each class (N, K), or the class's number (N,).
        probabilities: (N, K) of a classification.
    """

    kind: str
    ids: tuple[str, ...]
    patients: tuple[str, ...]
    classes: tuple[str, ...]
    scores: Mapping[ScoreKey, NDArray[np.float64]]
    truth: NDArray[np.float64]
    probabilities: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))


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
    if "class" in kept:
        return _segmentation(path, kept)
    return _classification(path, kept)


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
    if missing := sorted(needed - set(head)) or (
        [] if {"class", "truth"} & set(head) else ["class or truth"]
    ):
        raise DataError(f"{path}: no column {', '.join(missing)}; another version wrote it")
    if not lines:
        raise DataError(f"{path}: no case in it")
    return dict(zip(head, map(list, zip(*lines, strict=True)), strict=True))


def _take(column: Sequence[str], which: NDArray[np.bool_]) -> list[str]:
    return [value for value, keep in zip(column, which, strict=True) if keep]


def _numbers(path: Path, name: str, column: Sequence[str]) -> NDArray[np.float64]:
    try:
        return np.array([float(value) if value else math.nan for value in column])
    except ValueError as error:
        raise DataError(f"{path}: column {name} is not of numbers ({error})") from error


def _segmentation(path: Path, columns: Mapping[str, list[str]]) -> CaseScores:
    ids = tuple(sorted(set(columns["case"])))
    classes = tuple(dict.fromkeys(columns["class"]))
    number = {case: i for i, case in enumerate(ids)}
    which = {name: i for i, name in enumerate(classes)}
    row = np.array([number[case] for case in columns["case"]])
    of = np.array([which[name] for name in columns["class"]])
    if len(set(zip(row.tolist(), of.tolist(), strict=True))) != len(row):
        raise DataError(f"{path}: a case has two lines for one class")
    patients = dict(zip(columns["case"], columns["patient"], strict=True))
    scores: dict[ScoreKey, NDArray[np.float64]] = {}
    truth = np.full((len(ids), len(classes)), math.nan)
    for name in columns:
        if name in TEXT_COLUMNS or name == "n_predicted":
            continue
        table = np.full((len(ids), len(classes)), math.nan)
        table[row, of] = _numbers(path, name, columns[name])
        if name == "n_reference":
            truth = table
            continue
        known = METRICS.get(name)
        size = np.abs(table) if known is not None and known.better == "zero" else table
        scores |= {(name, label): size[:, k] for label, k in which.items()}
    if not scores:
        raise DataError(f"{path}: no column with a score; another version wrote it")
    return CaseScores(
        "segmentation", ids, tuple(patients[case] for case in ids), classes, scores, truth
    )


def _classification(path: Path, columns: Mapping[str, list[str]]) -> CaseScores:
    order = np.argsort(np.array(columns["case"]))
    ids = tuple(columns["case"][i] for i in order)
    if len(set(ids)) != len(ids):
        raise DataError(f"{path}: a case has two lines")
    classes = tuple(name[2:] for name in columns if name.startswith("p_"))
    which = {name: k for k, name in enumerate(classes)}
    if strange := sorted({*columns["truth"], *columns.get("prediction", [])} - set(classes)):
        raise DataError(f"{path}: no column p_{strange[0]}; another version wrote it")
    truth = np.array([which[name] for name in columns["truth"]])[order]
    guess = np.array([which[name] for name in columns["prediction"]])[order]
    p = np.stack([_numbers(path, f"p_{c}", columns[f"p_{c}"]) for c in classes], axis=1)[order]
    right = (truth == guess).astype(float)
    off = p - np.eye(len(classes))[truth]
    scores: dict[ScoreKey, NDArray[np.float64]] = {
        ("accuracy", ALL_CLASSES): right,
        ("brier", ALL_CLASSES): (off**2).sum(axis=1),
    }
    scores |= {("recall", name): np.where(truth == k, right, math.nan) for name, k in which.items()}
    extra = [n for n in columns if n not in TEXT_COLUMNS and not n.startswith("p_")]
    scores |= {(name, ALL_CLASSES): _numbers(path, name, columns[name])[order] for name in extra}
    patients = tuple(columns["patient"][i] for i in order)
    return CaseScores("classification", ids, patients, classes, scores, truth.astype(float), p)
