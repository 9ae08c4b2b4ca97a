"""Scores of a classifier from the rows of its cases: one class for each image, or several
yes-or-no labels, some of them never annotated."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.metrics.bootstrap import Interval, Scores, score_intervals
from medlight.metrics.names import SPECIFICITY
from medlight.metrics.point_scores import BINARY_METRICS, binary_scores, multiclass_scores
from medlight.metrics.weighted_metrics import (
    WeightedRanking,
    weighted_calibration_error,
    weighted_f1,
    weighted_mean,
)

Rows = Sequence[Mapping[str, Any]]
OVERALL_METRICS = ("accuracy", "balanced_accuracy", "ece", "brier", "log_loss")
CLASS_METRICS = ("f1", "auroc", "auprc", "sensitivity_at_specificity")
MIN_PROBABILITY = 1e-12
"""Probabilities are at least this in the log loss: one certain mistake is not infinite."""


def summarise_classification(rows: Rows, names: Sequence[str]) -> dict[str, float]:
    """Compute all scores; those of a class against the rest also for each class, and as their mean.

    Args:
        rows: of the cases, with `truth`, `prediction` and `p_<class>`.
        names: of the classes.

    Returns:
        Score by name. A class that no case has, or that every case has, has no AUROC; a class
        neither there nor predicted has no F1. Both are nan, and left out of the macro means.
        Where a probability is nan or infinite, every score is nan.
    """
    if not rows:
        return {**dict.fromkeys((*OVERALL_METRICS, *CLASS_METRICS), math.nan), "cases": 0}
    truth, predicted, probability = rows_to_arrays(rows, names)
    found = _scores(np.ones((1, len(rows))), truth, predicted, probability, names)
    scores = {name: float(value[0]) for name, value in found.items()}
    if np.isfinite(probability).all():
        scores |= with_macro_means(multiclass_scores(truth, predicted, probability, names), names)
    each = {f"cases/{name}": int((truth == k).sum()) for k, name in enumerate(names)}
    return {**scores, "cases": len(rows), **each}


def with_macro_means(scores: dict[str, float], names: Sequence[str]) -> dict[str, float]:
    """Add the mean of each metric that every class has (`auroc/<class>`), over those with a value.

    Args:
        scores: score by name.
        names: of the classes.
    """
    metrics = {name.partition("/")[0] for name in scores if "/" in name}
    means = {m: macro_mean([np.array([scores[f"{m}/{name}"]]) for name in names]) for m in metrics}
    return scores | {metric: float(mean[0]) for metric, mean in means.items()}


def classification_intervals(rows: Rows, names: Sequence[str]) -> dict[str, Interval]:
    """Find 95 % bootstrap intervals by patient of the scores of `summarise_classification`.

    Args:
        rows: of the cases; they need their `patient`, too.
        names: of the classes.
    """
    if not rows:
        return {}
    known = rows_to_arrays(rows, names)
    patients = [row["patient"] for row in rows]
    return score_intervals(lambda weights: _scores(weights, *known, names), patients)


def rows_to_arrays(
    rows: Rows, names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Turn rows into arrays.

    Args:
        rows: of the cases.
        names: of the K classes.

    Returns:
        (N,) truth, (N,) prediction and (N, K) probabilities.
    """
    number = {name: k for k, name in enumerate(names)}
    truth = np.array([number[row["truth"]] for row in rows])
    predicted = np.array([number[row["prediction"]] for row in rows])
    probability = [[float(row[f"p_{name}"]) for name in names] for row in rows]
    return truth, predicted, np.array(probability, dtype=np.float64)


def brier_scores(truth: NDArray[np.int64], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the Brier score of each case (Brier 1950, over all classes): the squared distance
    from certainty of the truth.

    Args:
        truth: (N,) classes.
        probability: (N, K).

    Returns:
        (N,), 0 to 2.
    """
    error: NDArray[np.float64] = probability.copy()
    error[np.arange(len(truth)), truth] -= 1
    return (error**2).sum(axis=1)


def negative_log_likelihood(
    truth: NDArray[np.int64], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Take the negative logarithm of the probability given to the truth.

    Args:
        truth: (N,) classes.
        probability: (N, K).

    Returns:
        (N,) nats.
    """
    given = probability[np.arange(len(truth)), truth]
    return -np.log(np.maximum(given, MIN_PROBABILITY))


def _scores(
    weights: NDArray[np.float64],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    probability: NDArray[np.float64],
    names: Sequence[str],
) -> Scores:
    finite = np.isfinite(probability)
    probability = np.where(finite, probability, np.nan)
    right = truth == predicted
    found: Scores = {"accuracy": weighted_mean(weights, right)}
    recalls = [weighted_mean(weights * (truth == k), right) for k in range(len(names))]
    found["balanced_accuracy"] = macro_mean(recalls)
    confidence = probability.max(axis=1)
    found["ece"] = weighted_calibration_error(
        weights, confidence, probability.argmax(axis=1) == truth
    )
    found["brier"] = weighted_mean(weights, brier_scores(truth, probability))
    found["log_loss"] = weighted_mean(weights, negative_log_likelihood(truth, probability))
    each: Scores = {}
    for k, name in enumerate(names):
        ranking = WeightedRanking.from_scores(weights, truth == k, probability[:, k])
        each[f"f1/{name}"] = weighted_f1(weights, truth == k, predicted == k)
        each[f"auroc/{name}"] = ranking.auroc()
        each[f"auprc/{name}"] = ranking.auprc()
        each[f"sensitivity_at_specificity/{name}"] = ranking.sensitivity(SPECIFICITY)
    for metric in CLASS_METRICS:
        found[metric] = macro_mean([each[f"{metric}/{name}"] for name in names])
    found |= each
    return found if finite.all() else _all_nan(found)


def _all_nan(scores: Scores) -> Scores:
    """Return nan for every score: sorting nan probabilities would still give an AUROC."""
    return {name: np.full_like(value, np.nan) for name, value in scores.items()}


def macro_mean(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Average over classes; those without a value are left out.

    Args:
        parts: K times (D,), nan where a class has no value.

    Returns:
        (D,), nan where no class has one.
    """
    table = np.stack(parts)
    known = ~np.isnan(table)
    with np.errstate(invalid="ignore"):
        return np.where(known, table, 0).sum(axis=0) / np.where(known.any(0), known.sum(0), np.nan)


MULTILABEL_METRICS = (
    "auroc", "auprc", "f1", "sensitivity_at_specificity", "accuracy", "ece", "brier", "log_loss",
)  # fmt: skip
THRESHOLD = 0.5


def summarise_multilabel(rows: Rows, names: Sequence[str]) -> dict[str, float]:
    """Compute each score of each label, and its mean over labels.

    Args:
        rows: of the cases, with `truth_<label>` (1, 0, or nan where nobody looked) and `p_<label>`.
            What is nan is left out, and counted.
        names: of the labels.

    Returns:
        Score by name. A label that no case has, or that every case has, has no AUROC: nan, left out
        of the mean.
    """
    if not rows:
        return {**dict.fromkeys(MULTILABEL_METRICS, math.nan), "cases": 0}
    found = _multilabel_scores(
        np.ones((1, len(rows))), *_multilabel_arrays(rows, names), names=names
    )
    truth, probability = _multilabel_arrays(rows, names)
    scores = {name: float(value[0]) for name, value in found.items()}
    each: dict[str, float] = {}
    for k, name in enumerate(names):
        annotated = ~np.isnan(truth[:, k])
        positive, p = truth[annotated, k] == 1, probability[annotated, k]
        if annotated.any() and np.isfinite(p).all():
            known = binary_scores(positive, p > THRESHOLD, p)
        else:
            known = dict.fromkeys(BINARY_METRICS, math.nan)
        each |= {f"{metric}/{name}": value for metric, value in known.items()}
        n = int(annotated.sum())
        scores |= {f"cases/{name}": n, f"not_scored/{name}": len(rows) - n}
    if np.isfinite(probability[~np.isnan(truth)]).all():
        scores |= with_macro_means(each, names)
    return {**scores, "cases": len(rows)}


def multilabel_intervals(rows: Rows, names: Sequence[str]) -> dict[str, Interval]:
    """Find 95 % bootstrap intervals by patient of the scores of `summarise_multilabel`.

    Args:
        rows: of the cases; they need their `patient`, too.
        names: of the labels.
    """
    if not rows:
        return {}
    truth, probability = _multilabel_arrays(rows, names)
    scores = partial(_multilabel_scores, truth=truth, probability=probability, names=names)
    return score_intervals(scores, [row["patient"] for row in rows])


def _multilabel_arrays(
    rows: Rows, names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, K) truth with nan, and (N, K) probabilities."""
    truth = [[float(row[f"truth_{name}"]) for name in names] for row in rows]
    probability = [[float(row[f"p_{name}"]) for name in names] for row in rows]
    return np.array(truth), np.array(probability)


def _multilabel_scores(
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
        if not annotated.any() or not np.isfinite(p).all():
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
    found = whole | each
    known = probability[~np.isnan(truth)]
    return found if np.isfinite(known).all() else _all_nan(found)
