"""The scores that torchmetrics computes, from gathered cases: one value each, no accumulation.

`weighted_metrics` computes the same for the draws of a bootstrap, of which torchmetrics knows no
weights. What is undefined is nan here, where torchmetrics says 0. Calibration errors are computed
there, too: bins hold their upper edge (Guo et al. 2017), and torchmetrics' their lower one.
torchmetrics is imported when it is asked: `compare` works without it.

Shapes: N cases, K classes.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINARY_METRICS = ("accuracy", "f1", "auroc", "auprc")


def multiclass_scores(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    probability: NDArray[np.float64],
    names: Sequence[str],
) -> dict[str, float]:
    """Score one class a case.

    Args:
        truth, predicted: (N,) classes; at least one case.
        probability: (N, K) in [0, 1].
        names: of the classes.

    Returns:
        `accuracy` and `balanced_accuracy`; `f1`, `auroc` and `auprc` of each class
        (`f1/<class>`). A class that no case has, or every case, has no AUROC; one that is neither
        there nor predicted no F1: nan.
    """
    from torchmetrics.functional import classification as tm

    said, true = _tensors(predicted, truth)
    with _quiet():
        counts = tm.multiclass_stat_scores(said, true, len(names), average="none").numpy()
    hits, false_alarms, _, misses, support = counts.T  # counts: torchmetrics divides in float32
    found = {
        "accuracy": float(hits.sum() / len(truth)),
        "balanced_accuracy": float((hits[support > 0] / support[support > 0]).mean()),
    }
    for k, name in enumerate(names):
        found[f"f1/{name}"] = _f1(hits[k], false_alarms[k], misses[k])
        ranked = _ranking_scores(truth == k, probability[:, k])
        found |= {f"{metric}/{name}": value for metric, value in ranked.items()}
    return found


def binary_scores(
    positive: NDArray[np.bool_], said: NDArray[np.bool_], probability: NDArray[np.float64]
) -> dict[str, float]:
    """Score a yes-or-no label.

    Args:
        positive: (N,) the truth, of at least one case.
        said: (N,) what is predicted.
        probability: (N,) of yes.

    Returns:
        `accuracy`, `f1`, `auroc` and `auprc`, nan where undefined.
    """
    from torchmetrics.functional import classification as tm

    guess, true = _tensors(said.astype(np.int64), positive.astype(np.int64))
    hits, false_alarms, rejections, misses, _ = tm.binary_stat_scores(guess, true).tolist()
    accuracy, f1 = (hits + rejections) / len(said), _f1(hits, false_alarms, misses)
    return {"accuracy": accuracy, "f1": f1, **_ranking_scores(positive, probability)}


def confusion_counts(truth: ArrayLike, prediction: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count what was predicted of each class.

    Args:
        truth, prediction: (N,) classes.
        classes: K.

    Returns:
        (K, K), rows the truth.
    """
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    said, true = _tensors(np.asarray(prediction, np.int64), np.asarray(truth, np.int64))
    if not len(true):
        return np.zeros((classes, classes), np.int64)
    counts: NDArray[np.int64] = multiclass_confusion_matrix(said, true, classes).numpy()
    return counts


def _f1(hits: int, false_alarms: int, misses: int) -> float:
    whole = 2 * hits + false_alarms + misses
    return float(2 * hits / whole) if whole else math.nan


def _ranking_scores(
    positive: NDArray[np.bool_], probability: NDArray[np.float64]
) -> dict[str, float]:
    from torchmetrics.functional import classification as tm

    p, true = _tensors(probability, positive.astype(np.int64))
    with _quiet():
        return {
            name: float(score(p, true)) if defined else math.nan
            for name, score, defined in (
                ("auroc", tm.binary_auroc, 0 < positive.sum() < len(positive)),
                ("auprc", tm.binary_average_precision, positive.any()),
            )
        }


def _tensors(*arrays: NDArray[Any]) -> list[Any]:
    import torch

    return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are not there: they are nan here
        yield
