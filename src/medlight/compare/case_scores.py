"""What each test case of a finished run scored: its cases.csv, read as its outcome.json says."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError, reading
from medlight.core.outcome import CLASS_COLUMN, Metric, OutcomeSpec
from medlight.runs.case_table import CaseTable
from medlight.runs.directory import OUTCOME_FILE, RunDirectory, read_json
from medlight.tasks.outcome_of_columns import outcome_of_columns

Values = NDArray[np.float64]
CaseValues = Callable[[Values, Values, Values], Values]
"""(truth, probability, answered) to (N,) values of a case or (N, K) of a case and class; `answered`
is (N, K), 1 for the class that was given as the answer."""

THRESHOLD = 0.5


def correct(truth: Values, probability: Values, answered: Values) -> Values:
    """Whether the answer is the truth.

    Args:
        truth, answered: (N, K) of 0 and 1.
        probability: (N, K), not looked at.

    Returns:
        (N,).
    """
    return (truth == answered).all(axis=1).astype(float)


def correct_in_class(truth: Values, probability: Values, answered: Values) -> Values:
    """The same, for the cases of each class only; their mean is the recall.

    Args:
        truth, answered: (N, K) of 0 and 1.
        probability: (N, K), not looked at.

    Returns:
        (N, K), nan where a case is of another class.
    """
    right = correct(truth, probability, answered)[:, np.newaxis]
    return np.where(truth == 1, right, np.nan)


def brier(truth: Values, probability: Values, answered: Values) -> Values:
    """Squared distance of the probabilities from certainty of the truth (Brier 1950).

    Args:
        truth, answered: (N, K) of 0 and 1; the second is not looked at.
        probability: (N, K).

    Returns:
        (N,), 0 to 2.
    """
    error: Values = ((probability - truth) ** 2).sum(axis=1)
    return error


def label_correct(truth: Values, probability: Values, answered: Values) -> Values:
    """Whether each yes-or-no question was answered right, yes being above 0.5.

    Args:
        truth: (N, K) of 0 and 1, nan where nobody looked.
        probability: (N, K).
        answered: (N, K), not looked at.

    Returns:
        (N, K), nan where nobody looked.
    """
    right = (probability > THRESHOLD) == (truth == 1)
    return np.where(np.isnan(truth), np.nan, right)


def label_brier(truth: Values, probability: Values, answered: Values) -> Values:
    """Squared error of the probability of each yes.

    Args:
        truth: (N, K) of 0 and 1, nan where nobody looked.
        probability: (N, K).
        answered: (N, K), not looked at.

    Returns:
        (N, K), nan where nobody looked.
    """
    error: Values = (probability - truth) ** 2
    return error


CASE_VALUES: dict[str, CaseValues] = {
    "correct": correct,
    "correct_in_class": correct_in_class,
    "brier": brier,
    "label_correct": label_correct,
    "label_brier": label_brier,
}
"""By the name that `core.outcome.Metric.value` gives them."""


ALL_CLASSES = ""
"""The class of a score that belongs to the case as a whole."""

ScoreKey = tuple[str, str]
"""(metric, class); the class is "" for a score of the whole case."""

Columns = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class CaseScores:
    """The test cases of one run, in the order of their ids.

    Attributes:
        spec: what they are.
        ids, patients: of each of the N cases.
        classes: names, as cases.csv orders them; without a background.
        scores: (metric, class) to (N,) values, nan if there is none. Errors with a sign come as
            their size.
        truth: (N, K) what the reference says of each class, or (N, 1) of the case.
        probabilities: (N, K), if the spec has them.
    """

    spec: OutcomeSpec
    ids: tuple[str, ...]
    patients: tuple[str, ...]
    classes: tuple[str, ...]
    scores: Mapping[ScoreKey, NDArray[np.float64]]
    truth: NDArray[np.float64]
    probabilities: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))


def case_scores(path: Path, columns: Columns, spec: OutcomeSpec) -> CaseScores:
    """Read the scores of each case from the columns of cases.csv.

    Args:
        path: of the file, for messages.
        columns: name to values.
        spec: what they mean.

    Raises:
        DataError: the columns are not what the spec says.
    """
    read = _rows_by_class if spec.per_class_rows else _rows_by_case
    with reading(path, "another version wrote it"):
        found = read(path, columns, spec)
    if not found.scores:
        raise DataError(f"{path}: no column with a score; another version wrote it")
    return found


def _rows_by_class(path: Path, columns: Columns, spec: OutcomeSpec) -> CaseScores:
    ids = tuple(sorted(set(columns["case"])))
    classes = tuple(dict.fromkeys(columns[CLASS_COLUMN]))
    number = {case: i for i, case in enumerate(ids)}
    place = {name: k for k, name in enumerate(classes)}
    row = np.array([number[case] for case in columns["case"]])
    of = np.array([place[name] for name in columns[CLASS_COLUMN]])
    if len(set(zip(row.tolist(), of.tolist(), strict=True))) != len(row):
        raise DataError(f"{path}: a case has two lines for one class")

    def table(name: str) -> NDArray[np.float64]:
        values = np.full((len(ids), len(classes)), math.nan)
        values[row, of] = _numbers(path, name, columns)
        return values

    scores: dict[ScoreKey, NDArray[np.float64]] = {}
    for name, metric in spec.metrics.items():
        if metric.value == "column" and name in columns:
            values = _sized(table(name), metric)
            scores |= {(name, label): values[:, k] for label, k in place.items()}
    patients = dict(zip(columns["case"], columns["patient"], strict=True))
    truth = table(spec.truth) if spec.truth in columns else np.zeros((len(ids), 1))
    return CaseScores(spec, ids, tuple(patients[i] for i in ids), classes, scores, truth)


def _rows_by_case(path: Path, columns: Columns, spec: OutcomeSpec) -> CaseScores:
    order = np.argsort(np.array(columns["case"]))
    ids = tuple(columns["case"][i] for i in order)
    if len(set(ids)) != len(ids):
        raise DataError(f"{path}: a case has two lines")
    truth = _answers(path, columns, spec, spec.truth)[order]
    probability = np.zeros((0, 0))
    answered = np.zeros_like(truth)
    if spec.probability:
        names = spec.columns(spec.probability)
        probability = np.stack([_numbers(path, n, columns) for n in names], axis=1)[order]
        if not np.isfinite(probability).all():
            wrong = ids[int(np.flatnonzero(~np.isfinite(probability).all(axis=1))[0])]
            raise DataError(
                f"{path}: case {wrong} has a probability that is not finite: the training "
                "diverged, and its scores say nothing; train again with a lower optimizer.lr"
            )
    if "prediction" in spec.text_columns:
        answered = _answers(path, columns, spec, "prediction")[order]
    scores: dict[ScoreKey, NDArray[np.float64]] = {}
    for name, metric in spec.metrics.items():
        if metric.value == "column":
            pattern = f"{name}_{{class}}" if metric.level == "class" else name
            labels = spec.classes if metric.level == "class" else (ALL_CLASSES,)
            for label, column in zip(labels, spec.columns(pattern), strict=True):
                if column in columns:
                    values = _numbers(path, column, columns)[order]
                    scores[name, label] = _sized(values, metric)
        elif metric.value in CASE_VALUES:
            values = CASE_VALUES[metric.value](truth, probability, answered)
            if values.ndim == 1:
                scores[name, ALL_CLASSES] = values
            else:
                scores |= {(name, label): values[:, k] for k, label in enumerate(spec.classes)}
    patients = tuple(columns["patient"][i] for i in order)
    return CaseScores(spec, ids, patients, spec.classes, scores, truth, probability)


def _answers(path: Path, columns: Columns, spec: OutcomeSpec, pattern: str) -> NDArray[np.float64]:
    """(N, K) of a column of class names or of one a class; (N, 1) of a column of numbers."""
    if pattern not in spec.text_columns:
        names = [name for name in spec.columns(pattern) if name in columns]
        if not names:
            return np.zeros((len(columns["case"]), 1))
        return np.stack([_numbers(path, name, columns) for name in names], axis=1)
    if strange := sorted(set(columns[pattern]) - set(spec.classes)):
        raise DataError(f"{path}: {strange[0]!r} in column {pattern} is not a class of the run")
    return np.array([[float(each == name) for name in spec.classes] for each in columns[pattern]])


def _numbers(path: Path, name: str, columns: Columns) -> NDArray[np.float64]:
    if name not in columns:
        raise DataError(f"{path}: no column {name}; another version wrote it")
    try:
        found = np.array([float(value) if value else math.nan for value in columns[name]])
    except ValueError as error:
        raise DataError(f"{path}: column {name} is not of numbers ({error})") from error
    if np.isinf(found).any():
        raise DataError(f"{path}: column {name} holds a number that is infinite")
    return found


def _sized(values: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    return np.abs(values) if metric.better == "zero" else values


STAGE = "test"


def read_case_scores(folder: Path) -> CaseScores:
    """Read the test cases of a run directory.

    Raises:
        DataError: nothing was tested, or the table cannot be used; it names the file.
    """
    lines = RunDirectory(folder).cases()
    if "stage" not in lines.columns:
        raise DataError(f"{lines.path}: no column stage; another version wrote it")
    spec = read_outcome(folder, lines)
    tests = lines.of_stage(STAGE)
    if not len(tests):
        raise DataError(f"{lines.path}: no line of stage {STAGE!r}")
    return case_scores(tests.path, tests.columns, spec)


def read_outcome(folder: Path, lines: CaseTable) -> OutcomeSpec:
    """Read what the rows of a run are; the columns tell it of runs from before outcome.json.

    Args:
        folder: of the run.
        lines: its cases.csv.

    Raises:
        DataError: outcome.json is damaged, or the columns are of no known kind.
    """
    path = Path(folder) / OUTCOME_FILE
    found = path if path.is_file() else lines.path
    try:
        if found == path:
            return OutcomeSpec.from_dict(read_json(path))
        return outcome_of_columns(lines.columns)
    except DataError as error:
        said = str(error).removeprefix(f"{found}: ")
        raise DataError(f"{found}: {said}; another version wrote it") from error
