"""Would other patients have put the runs in another order?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.metrics.bootstrap import N_RESAMPLES, patient_sums, resampled_means


@dataclass(frozen=True, slots=True)
class Rank:
    """The place of one of G groups; 1 is the best.

    Attributes:
        place: by the mean over all cases.
        first: in what share of the draws it came first; ties are shared out.
        low, high: between which places it lies in 95 % of the draws.
    """

    rank: int
    p_first: float
    low: int
    high: int


def ranks(
    values: NDArray[np.float64],
    patients: Sequence[Any],
    *,
    better: str,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> list[Rank]:
    """Places of the G columns of (N, G) values, over draws of patients with replacement.

    Only cases that all groups have a value for count. Empty where there is no such case.
    """
    complete = ~np.isnan(values).any(axis=1)
    if not complete.any():
        return []
    kept = np.asarray(patients)[complete]
    resampled = resampled_means(
        *patient_sums(values[complete], kept), n_resamples=n_resamples, seed=seed
    )
    sign = -1 if better == "higher" else 1
    place = _places(sign * values[complete].mean(axis=0, keepdims=True))[0]
    places = _places(sign * resampled)
    best = (sign * resampled) == (sign * resampled).min(axis=1, keepdims=True)
    first = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    low, high = np.quantile(places, (0.025, 0.975), axis=0, method="nearest")
    return [
        Rank(int(p), float(f), int(a), int(b))
        for p, f, a, b in zip(place, first, low, high, strict=True)
    ]


def _places(cost: NDArray[np.float64]) -> NDArray[np.int16]:
    order = np.argsort(cost, axis=1, kind="stable")
    places = np.empty(order.shape, dtype=np.int16)
    np.put_along_axis(places, order, np.arange(1, cost.shape[1] + 1, dtype=np.int16)[None], axis=1)
    return places
