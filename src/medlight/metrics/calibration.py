"""Are probabilities what they say? Reliability, and the one number that mends most of it.

Shapes: N cases, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from medlight.metrics.classification import MIN_PROBABILITY, brier_scores, negative_log_likelihood
from medlight.metrics.weighted_metrics import confidence_bins, weighted_calibration_error

MAX_TEMPERATURE = 20.0
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
    """Bin cases by the confidence in their predicted class.

    Args:
        truth: (N,) classes.
        probability: (N, K).
        bins: how many, of equal width.
    """
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == truth
    place = confidence_bins(confidence, bins)
    cases = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            cases,
            np.bincount(place, confidence, bins) / cases,
            np.bincount(place, right, bins) / cases,
        )


def fit_temperature(truth: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    """Find the temperature by which dividing logits makes the truth most likely (Guo et al. 2017).

    Logits are not needed: they are the logarithms of the probabilities, up to what a softmax
    ignores. Fit it on validation cases, never on those it is judged on.

    Args:
        truth: (N,) classes.
        probability: (N, K).

    Returns:
        The temperature, from 1 / `MAX_TEMPERATURE` to `MAX_TEMPERATURE`.
    """
    logs = np.log(np.maximum(probability, MIN_PROBABILITY))

    def loss(log_temperature: float) -> float:
        return float(
            negative_log_likelihood(truth, softmax(logs / np.exp(log_temperature), axis=1)).mean()
        )

    reach = np.log(MAX_TEMPERATURE)
    return float(np.exp(minimize_scalar(loss, bounds=(-reach, reach), method="bounded").x))


def apply_temperature(probability: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Divide the logits of probabilities by a temperature.

    Args:
        probability: (N, K).
        temperature: above 0; above 1 probabilities become less certain.

    Returns:
        (N, K).

    >>> apply_temperature(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    logs = np.log(np.maximum(probability, MIN_PROBABILITY))
    lowered: NDArray[np.float64] = softmax(logs / temperature, axis=1)
    return lowered


def calibration_scores(
    truth: NDArray[np.int64], probability: NDArray[np.float64]
) -> dict[str, float]:
    """ECE, Brier score and log loss."""
    right = probability.argmax(axis=1) == truth
    every = np.ones((1, len(truth)))
    return {
        "ece": float(weighted_calibration_error(every, probability.max(axis=1), right)[0]),
        "brier": float(brier_scores(truth, probability).mean()),
        "log_loss": float(negative_log_likelihood(truth, probability).mean()),
    }
