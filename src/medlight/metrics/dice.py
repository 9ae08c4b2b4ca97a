"""Voxels that two masks share, and the scores that rest on them."""

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**24
"""Voxels counted in one step, which bounds memory for whole-body volumes."""


def joint_counts(
    prediction: NDArray[np.integer], reference: NDArray[np.integer], labels: int
) -> NDArray[np.int64]:
    """(K, K) voxels of each pair of labels: rows are the reference, columns the prediction.

    ValueError where shapes differ or a label is not below `labels`.

    >>> joint_counts(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), 3).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"shapes differ: {prediction.shape} and {reference.shape}")
    for side, mask in (("prediction", prediction), ("reference", reference)):
        if mask.size and not 0 <= mask.min() <= mask.max() < labels:
            raise ValueError(
                f"the {side} holds labels from {mask.min()} to {mask.max()}, "
                f"but there are {labels} (0 to {labels - 1})"
            )
    table = np.zeros(labels * labels, np.int64)
    flat = prediction.ravel(), reference.ravel()
    for start in range(0, prediction.size, AT_ONCE):
        predicted, truth = (side[start : start + AT_ONCE] for side in flat)
        pairs = truth.astype(np.int32) * labels + predicted.astype(np.int32)
        table += np.bincount(pairs, minlength=labels * labels)
    return table.reshape(labels, labels)


def overlap(table: NDArray[np.int64], region: Collection[int]) -> tuple[int, int, int]:
    """Voxels of a region, a union of labels: in both masks, in the reference, in the prediction.

    >>> overlap(np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1]]), (1, 2))
    (3, 3, 3)
    """
    rows = table[list(region)]
    return int(rows[:, list(region)].sum()), int(rows.sum()), int(table[:, list(region)].sum())


def dice(both: int, reference: int, predicted: int) -> float:
    """Dice (1945) of one region in one case; nan where it is neither there nor predicted.

    >>> dice(1, 2, 1), dice(0, 3, 0), dice(0, 0, 0)
    (0.6666666666666666, 0.0, nan)
    """
    total = reference + predicted
    return 2 * both / total if total else math.nan


def iou(both: int, reference: int, predicted: int) -> float:
    """Intersection over union, Jaccard (1912); nan as `dice`.

    >>> iou(1, 2, 1), iou(0, 0, 0)
    (0.5, nan)
    """
    union = reference + predicted - both
    return both / union if union else math.nan
