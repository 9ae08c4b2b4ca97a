"""Dice of whole cases, and how cases become a score.

Policy for empty masks: absent and not predicted is left out and counted; absent but predicted,
or present but missed, is Dice 0.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def overlap(
    prediction: NDArray[np.integer], reference: NDArray[np.integer], labels: int
) -> NDArray[np.int64]:
    """(K, 3) voxels of each label: in both, in the reference, in the prediction.

    >>> overlap(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), 3).tolist()
    [[1, 1, 1], [1, 1, 2], [1, 2, 1]]
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"shapes differ: {prediction.shape} and {reference.shape}")
    pairs = reference.ravel().astype(np.int64) * labels + prediction.ravel()
    table = np.bincount(pairs, minlength=labels * labels).reshape(labels, labels)
    return np.stack([table.diagonal(), table.sum(axis=1), table.sum(axis=0)], axis=1)


def dice(both: int, reference: int, predicted: int) -> float:
    """Dice (1945) of one label in one case; nan where it is neither there nor predicted.

    >>> dice(1, 2, 1), dice(0, 3, 0), dice(0, 0, 0)
    (0.6666666666666666, 0.0, nan)
    """
    total = reference + predicted
    return 2 * both / total if total else math.nan


def dice_rows(
    case: str, prediction: NDArray[np.integer], reference: NDArray[np.integer], names: Sequence[str]
) -> tuple[dict[str, str | int | float], ...]:
    """One row for each label but the background (`names[0]`), as in cases.csv."""
    counts = overlap(prediction, reference, len(names))
    return tuple(
        {
            "case": case,
            "class": name,
            "dice": dice(*map(int, count)),
            "n_reference": int(count[1]),
            "n_predicted": int(count[2]),
        }
        for name, count in zip(names[1:], counts[1:], strict=True)
    )


def summarise_dice(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Mean over the cases of each class, then over classes.

    >>> rows = [{"class": "a", "dice": d} for d in (1.0, 0.5, math.nan)]
    >>> summarise_dice(rows, ["background", "a"])
    {'dice': 0.75, 'dice/a': 0.75, 'cases/a': 2, 'left_out/a': 1}
    """
    scores: dict[str, float] = {}
    for name in names[1:]:
        values = np.array([row["dice"] for row in rows if row["class"] == name], dtype=float)
        known = values[~np.isnan(values)]
        scores[f"dice/{name}"] = float(known.mean()) if len(known) else math.nan
        scores[f"cases/{name}"] = len(known)
        scores[f"left_out/{name}"] = len(values) - len(known)
    means = [scores[f"dice/{name}"] for name in names[1:]]
    known = np.array([m for m in means if not math.isnan(m)])
    return {"dice": float(known.mean()) if len(known) else math.nan, **scores}
