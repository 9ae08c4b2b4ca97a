"""Scores of single cases that are not columns of cases.csv but follow from its answers.

Shapes: N cases, K classes. `truth` is (N, K), 1 if a case is of a class, 0 if not and nan if nobody
looked; `probability` is (N, K).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
CaseValues = Callable[[Values, Values, Values], Values]
"""(truth, probability, answered) to (N,) values of a case or (N, K) of a case and class; `answered`
is (N, K), 1 for the class that was given as the answer."""

THRESHOLD = 0.5


def correct(truth: Values, probability: Values, answered: Values) -> Values:
    """(N,) whether the answer is the truth."""
    return (truth == answered).all(axis=1).astype(float)


def correct_in_class(truth: Values, probability: Values, answered: Values) -> Values:
    """(N, K) the same, for the cases of each class only; their mean is the recall."""
    right = correct(truth, probability, answered)[:, np.newaxis]
    return np.where(truth == 1, right, np.nan)


def brier(truth: Values, probability: Values, answered: Values) -> Values:
    """(N,) squared distance of the probabilities from certainty of the truth, 0 to 2."""
    error: Values = ((probability - truth) ** 2).sum(axis=1)
    return error


def label_correct(truth: Values, probability: Values, answered: Values) -> Values:
    """(N, K) whether each yes-or-no question was answered right, yes being above 0.5."""
    right = (probability > THRESHOLD) == (truth == 1)
    return np.where(np.isnan(truth), np.nan, right)


def label_brier(truth: Values, probability: Values, answered: Values) -> Values:
    """(N, K) squared error of the probability of each yes."""
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
