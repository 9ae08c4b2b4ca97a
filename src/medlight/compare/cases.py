"""cases.csv as arrays: what each case scored, whichever task wrote it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError
from medlight.metrics.names import METRICS
from medlight.runs.case_table import TEXT_COLUMNS, CaseTable
from medlight.runs.directory import RunDirectory

STAGE = "test"
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
    """Read the test cases of a run directory.

    Raises:
        DataError: nothing was tested, or the table cannot be used; it names the file.
    """
    lines = RunDirectory(folder).cases()
    if missing := {"stage"} - set(lines.columns) or (
        set() if {"class", "truth"} & set(lines.columns) else {"class or truth"}
    ):
        raise DataError(f"{lines.path}: no column {missing.pop()}; another version wrote it")
    tests = lines.of_stage(STAGE)
    if not len(tests):
        raise DataError(f"{lines.path}: no line of stage {STAGE!r}")
    return _segmentation(tests) if "class" in tests.columns else _classification(tests)


def _segmentation(lines: CaseTable) -> CaseScores:
    path, columns = lines.path, lines.columns
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
        table[row, of] = lines.numbers(name)
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


def _classification(lines: CaseTable) -> CaseScores:
    path, columns = lines.path, lines.columns
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
    p = np.stack([lines.numbers(f"p_{c}") for c in classes], axis=1)[order]
    right = (truth == guess).astype(float)
    off = p - np.eye(len(classes))[truth]
    scores: dict[ScoreKey, NDArray[np.float64]] = {
        ("accuracy", ALL_CLASSES): right,
        ("brier", ALL_CLASSES): (off**2).sum(axis=1),
    }
    scores |= {("recall", name): np.where(truth == k, right, math.nan) for name, k in which.items()}
    extra = [n for n in columns if n not in TEXT_COLUMNS and not n.startswith("p_")]
    scores |= {(name, ALL_CLASSES): lines.numbers(name)[order] for name in extra}
    patients = tuple(columns["patient"][i] for i in order)
    return CaseScores("classification", ids, patients, classes, scores, truth.astype(float), p)
