"""Scores of findings: several yes-or-no questions for each image, some of them never asked.

Rows hold `truth_<finding>` (1, 0 or nan where nobody looked) and `p_<finding>`. What is nan is left
out, and counted.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.metrics.bootstrap import Interval
from medlight.metrics.bootstrap_scores import Scores, score_intervals
from medlight.metrics.classification import MIN_PROBABILITY, macro_mean
from medlight.metrics.names import SPECIFICITY
from medlight.metrics.weighted_metrics import (
    WeightedRanking,
    weighted_calibration_error,
    weighted_f1,
    weighted_mean,
)

Rows = Sequence[Mapping[str, Any]]
MULTILABEL_METRICS = (
    "auroc", "auprc", "f1", "sensitivity_at_specificity", "accuracy", "ece", "brier", "log_loss",
)  # fmt: skip
THRESHOLD = 0.5


def summarise_multilabel(rows: Rows, names: Sequence[str]) -> dict[str, float]:
    """Each score of each finding, and its mean over findings.

    A finding that no case has, or that every case has, has no AUROC: nan, left out of the mean.
    """
    if not rows:
        return {**dict.fromkeys(MULTILABEL_METRICS, math.nan), "cases": 0}
    found = _scores(np.ones((1, len(rows))), *_rows_to_arrays(rows, names), names=names)
    truth, _ = _rows_to_arrays(rows, names)
    scores = {name: float(value[0]) for name, value in found.items()}
    for k, name in enumerate(names):
        annotated = int((~np.isnan(truth[:, k])).sum())
        scores |= {f"cases/{name}": annotated, f"not_scored/{name}": len(rows) - annotated}
    return {**scores, "cases": len(rows)}


def multilabel_intervals(rows: Rows, names: Sequence[str]) -> dict[str, Interval]:
    """95 % bootstrap intervals by patient of these scores; rows need their `patient`."""
    if not rows:
        return {}
    truth, probability = _rows_to_arrays(rows, names)
    scores = partial(_scores, truth=truth, probability=probability, names=names)
    return score_intervals(scores, [row["patient"] for row in rows])


def _rows_to_arrays(
    rows: Rows, names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, K) truth with nan, and (N, K) probabilities."""
    truth = [[float(row[f"truth_{name}"]) for name in names] for row in rows]
    probability = [[float(row[f"p_{name}"]) for name in names] for row in rows]
    return np.array(truth), np.array(probability)


def _scores(
    weights: NDArray[np.float64],
    truth: NDArray[np.float64],
    probability: NDArray[np.float64],
    names: Sequence[str],
) -> Scores:
    each: Scores = {}
    for k, name in enumerate(names):
        annotated = ~np.isnan(truth[:, k])
        own, positive, p = (
            weights[:, annotated],
            truth[annotated, k] == 1,
            probability[annotated, k],
        )
        said = p > THRESHOLD
        sure, right = np.where(said, p, 1 - p), said == positive
        given = np.where(positive, p, 1 - p)
        if not annotated.any():
            each |= {
                f"{metric}/{name}": np.full(len(weights), np.nan) for metric in MULTILABEL_METRICS
            }
            continue
        ranking = WeightedRanking.from_scores(own, positive, p)
        values = (
            ranking.auroc(), ranking.auprc(), weighted_f1(own, positive, said),
            ranking.sensitivity(SPECIFICITY), weighted_mean(own, right),
            weighted_calibration_error(own, sure, right), weighted_mean(own, (p - positive) ** 2),
            weighted_mean(own, -np.log(np.maximum(given, MIN_PROBABILITY))),
        )  # fmt: skip
        each |= {f"{m}/{name}": value for m, value in zip(MULTILABEL_METRICS, values, strict=True)}
    whole = {m: macro_mean([each[f"{m}/{name}"] for name in names]) for m in MULTILABEL_METRICS}
    return whole | each
