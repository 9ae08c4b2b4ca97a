"""Scores of a yes-or-no question in many draws of its cases at once.

A draw of the bootstrap is a weight for each case: how often it was drawn. Every score here is a
function of the weights, so that ten lines of linear algebra give a thousand draws. With one row of
ones it is the plain score, equal to scikit-learn's.

Shapes: D draws, N cases, G groups of cases with the same score.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WeightedRanking:
    """Cases in falling order of their score: weights of the positive and negative ones.

    Attributes:
        positive, negative: (D, G).
    """

    positive: Weights
    negative: Weights

    @classmethod
    def from_scores(
        cls, weights: Weights, positive: NDArray[np.bool_], score: NDArray[np.float64]
    ) -> "WeightedRanking":
        """Sort cases by their score.

        Args:
            weights: (D, N).
            positive: (N,) the truth.
            score: (N,).
        """
        order = np.argsort(-score, kind="stable")
        ranked = score[order]
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        sides = (weights * side for side in (positive, ~positive))
        return cls(*(np.add.reduceat(side[:, order], starts, axis=1) for side in sides))

    def auroc(self) -> NDArray[np.float64]:
        """(D,) area under the ROC curve; nan where all cases are on one side."""
        before = np.cumsum(self.negative, axis=1) - self.negative
        negatives = self.negative.sum(axis=1)
        worse = negatives[:, None] - before - self.negative / 2  # ties count half
        return _ratio((self.positive * worse).sum(axis=1), self.positive.sum(axis=1) * negatives)

    def auprc(self) -> NDArray[np.float64]:
        """(D,) average precision: precision at each threshold, weighted by the recall it adds.
        nan without a positive case."""
        hits, alarms = np.cumsum(self.positive, axis=1), np.cumsum(self.negative, axis=1)
        precision = np.nan_to_num(_ratio(hits, hits + alarms))
        return _ratio((self.positive * precision).sum(axis=1), self.positive.sum(axis=1))

    def sensitivity(self, specificity: float) -> NDArray[np.float64]:
        """Find the highest sensitivity of a threshold with at least some specificity.

        Args:
            specificity: 0 to 1.

        Returns:
            (D,), nan where all cases are on one side.
        """
        alarms = np.cumsum(self.negative, axis=1)
        negatives = alarms[:, -1:]
        allowed = alarms <= (1 - specificity) * negatives + 1e-9
        hits = np.where(allowed, np.cumsum(self.positive, axis=1), 0).max(axis=1)
        found = _ratio(hits, self.positive.sum(axis=1))
        return np.where(negatives[:, 0] > 0, found, np.nan)


def weighted_f1(
    weights: Weights, positive: NDArray[np.bool_], predicted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Compute F1.

    Args:
        weights: (D, N).
        positive, predicted: (N,) the truth, and what was said.

    Returns:
        (D,), nan where the class is neither there nor predicted.
    """
    hits = weights @ (positive & predicted)
    return _ratio(2 * hits, weights @ positive.astype(float) + weights @ predicted.astype(float))


def weighted_mean(weights: Weights, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over cases.

    Args:
        weights: (D, N).
        values: (N,).

    Returns:
        (D,), nan where no case was drawn.
    """
    return _ratio(weights @ values.astype(float), weights.sum(axis=1))


def weighted_calibration_error(
    weights: Weights, confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 15
) -> NDArray[np.float64]:
    """Compute the expected calibration error (Guo et al. 2017, equation 3): the mean over cases of
    |accuracy - confidence| of their bin, in bins of equal width.

    Args:
        weights: (D, N).
        confidence: (N,) 0 to 1.
        right: (N,) whether each case is right.
        bins: how many.

    Returns:
        (D,).
    """
    member = confidence_bins(confidence, bins)[:, None] == np.arange(bins)
    gap = weights @ (member * (right.astype(float) - confidence)[:, None])
    return _ratio(np.abs(gap).sum(axis=1), weights.sum(axis=1))


def confidence_bins(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Put confidences into bins of equal width, which hold their upper edge.

    Args:
        confidence: (N,) 0 to 1.
        bins: how many.

    Returns:
        (N,) the bin of each.

    >>> confidence_bins(np.array([0.0, 0.5, 0.51, 1.0]), 2).tolist()
    [0, 0, 1, 1]
    """
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """nan where there is nothing below the line."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan)
