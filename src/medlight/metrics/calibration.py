"""Are probabilities what they say? Reliability, and the one number that mends most of it.

Shapes: N cases, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from medlight.metrics.classification import SMALLEST, squared_error, surprise
from medlight.metrics.weighted import bin_of, calibration_error

HOTTEST = 20.0
"""Temperatures lie between its inverse and this: a net without a mistake has no best one."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Cases in bins of the confidence in the predicted class.

    Attributes:
        cases: (bins,) how many.
        confidence, accuracy: (bins,) their means; nan in empty bins.
    """

    cases: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def reliability(
    truth: NDArray[np.int64], probability: NDArray[np.float64], bins: int = 15
) -> Reliability:
    """From (N,) classes and (N, K) probabilities."""
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == truth
    place = bin_of(confidence, bins)
    cases = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            cases,
            np.bincount(place, confidence, bins) / cases,
            np.bincount(place, right, bins) / cases,
        )


def fit_temperature(truth: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    """The temperature by which dividing logits makes the truth most likely (Guo et al. 2017).

    Logits are not needed: they are the logarithms of the probabilities, up to what a softmax
    ignores. Fit it on validation cases, never on those it is judged on.
    """
    logs = np.log(np.maximum(probability, SMALLEST))

    def loss(log_temperature: float) -> float:
        return float(surprise(truth, _softmax(logs / np.exp(log_temperature))).mean())

    reach = np.log(HOTTEST)
    return float(np.exp(minimize_scalar(loss, bounds=(-reach, reach), method="bounded").x))


def tempered(probability: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """(N, K) probabilities at another temperature; above 1 they are less certain.

    >>> tempered(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    return _softmax(np.log(np.maximum(probability, SMALLEST)) / temperature)


def calibration_scores(
    truth: NDArray[np.int64], probability: NDArray[np.float64]
) -> dict[str, float]:
    """ECE, Brier score and log loss."""
    right = probability.argmax(axis=1) == truth
    every = np.ones((1, len(truth)))
    return {
        "ece": float(calibration_error(every, probability.max(axis=1), right)[0]),
        "brier": float(squared_error(truth, probability).mean()),
        "log_loss": float(surprise(truth, probability).mean()),
    }


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    lowered: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return lowered
