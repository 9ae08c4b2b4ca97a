"""How sure a mean over cases is: bootstrap intervals that draw patients, not cases.

Cases of one patient resemble each other, so whole patients are drawn (the cluster bootstrap,
Davison and Hinkley 1997, section 3.8). Intervals are BCa (Efron 1987, JASA 82:171, equations
2.3 and 7.3), widened as a t interval is for few patients (the "expanded" level of Hesterberg
2015, Am. Stat. 69:371, section 5.2), without which they promise too much below 30 patients.

Shapes: `N` cases, `P` patients, `M` columns (metrics, runs, differences), `D` draws.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtrit

CONFIDENCE_LEVEL = 0.95
N_RESAMPLES = 10_000
RESAMPLES_PER_CHUNK = 1_000
"""Draws at a time: bounds the memory of the weights."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and between what it lies.

    Attributes:
        mean: over the cases that have a value; nan where none has.
        low, high: the ends; nan where fewer than two patients have a value.
        n: how many cases have a value.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} ({self.low:.4f} to {self.high:.4f})"


def bootstrap_interval(
    values: ArrayLike,
    patients: Sequence[Any] | NDArray[Any],
    *,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The mean of (N,) values and its interval; nan values are left out.

    Raises ValueError where lengths differ.

    >>> one = bootstrap_interval([0.9, 0.8, 0.7, 0.8, math.nan], ["a", "a", "b", "c", "d"])
    >>> round(one.mean, 2), one.low < 0.8 < one.high, one.n
    (0.8, True, 4)
    """
    column = np.asarray(values, dtype=np.float64)
    return bootstrap_intervals(
        column[:, None],
        patients,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        seed=seed,
    )[0]


def bootstrap_intervals(
    values: ArrayLike,
    patients: Sequence[Any] | NDArray[Any],
    *,
    contrasts: ArrayLike | None = None,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> list[Interval]:
    """`bootstrap_interval` of each column of (N, M) values; all columns see the same draws.

    With `contrasts`, (M, Q) weights, of the Q weighted sums of column means instead, such as the
    mean over classes of their means.
    """
    sums, counts = patient_sums(values, patients)
    centre = _centre(sums, counts)
    off = _resampled_deviations(sums, counts, centre, n_resamples, seed)
    influence = _jackknife_influence(sums, counts)
    known = counts
    if contrasts is not None:
        weights = np.asarray(contrasts, dtype=float)
        off, influence = off @ weights.astype(np.float32), influence @ weights
        known, centre = counts @ (weights != 0), centre @ weights
    low, high = _bca_bounds(off, influence, (known > 0).sum(axis=0), confidence_level)
    number = known.sum(axis=0)
    centre[number == 0] = math.nan
    return [
        Interval(float(m), float(m + a), float(m + b), int(n))
        for m, a, b, n in zip(centre, low, high, number, strict=True)
    ]


def patient_sums(
    values: ArrayLike, patients: Sequence[Any] | NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P, M) sums of the known values of each patient, and how many there are."""
    table = np.asarray(values, dtype=np.float64)
    names, place = np.unique(np.asarray(patients), return_inverse=True)
    if table.ndim != 2 or len(table) != len(place):
        raise ValueError(f"values are {table.shape}, but there are {len(place)} patients to them")
    known = ~np.isnan(table)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(names)))
    if not len(names):
        return np.zeros((0, table.shape[1])), np.zeros((0, table.shape[1]))
    filled = np.where(known, table, 0)[order]
    return np.add.reduceat(filled, starts), np.add.reduceat(known[order].astype(float), starts)


def resampled_means(
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """(D, M) means of as many draws of P patients with replacement; nan where none has a value."""
    centre = _centre(sums, counts)
    return _resampled_deviations(sums, counts, centre, n_resamples, seed) + centre


def _centre(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) mean over the cases; 0 where there are none."""
    centre: NDArray[np.float64] = sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    return centre


def _resampled_deviations(
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    centre: NDArray[np.float64],
    n_resamples: int,
    seed: int,
) -> NDArray[np.float32]:
    """(D, M) how far each drawn mean is from the mean, so that float32 loses nothing.

    How often each patient was drawn is a (D, P) matrix, and the means are two matrix products.
    """
    off = (sums - counts * centre).astype(np.float32)
    full = bool((counts == counts[:, :1]).all())  # one product does for all columns
    number = (counts[:, :1] if full else counts).astype(np.float32)
    random = np.random.default_rng(seed)
    means = np.empty((n_resamples, sums.shape[1]), dtype=np.float32)
    for start in range(0, n_resamples, RESAMPLES_PER_CHUNK):
        stop = min(start + RESAMPLES_PER_CHUNK, n_resamples)
        weight = resample_counts(len(sums), stop - start, random)
        with np.errstate(invalid="ignore", divide="ignore"):
            means[start:stop] = weight @ off / (weight @ number)
    return means


def resample_counts(
    patients: int, n_resamples: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """(D, P) how often each patient is in each draw of P with replacement."""
    picked = random.integers(0, max(patients, 1), (n_resamples, patients), dtype=np.int32)
    picked += np.arange(n_resamples, dtype=np.int32)[:, None] * patients
    counted = np.bincount(picked.ravel(), minlength=n_resamples * patients)
    return counted.reshape(n_resamples, patients).astype(np.float32)


def _jackknife_influence(
    sums: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(P, M) how the mean changes by leaving out a patient, about the mean of these changes."""
    others = counts.sum(axis=0) - counts
    left = (sums.sum(axis=0) - sums) / np.maximum(others, 1)
    patients = (counts > 0).sum(axis=0)
    typical = np.where(counts > 0, left, 0).sum(axis=0) / np.maximum(patients, 1)
    return np.where(counts > 0, typical - left, 0)


def _bca_bounds(
    drawn: NDArray[np.float32],
    influence: NDArray[np.float64],
    patients: NDArray[np.int64],
    confidence_level: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends (M,) of BCa intervals at the expanded level, as distances from the mean."""
    spread = (influence**2).sum(axis=0)
    acceleration = (influence**3).sum(axis=0) / np.maximum(6 * spread**1.5, 1e-300)
    usable = np.maximum((~np.isnan(drawn)).sum(axis=0), 1)
    below = ((drawn < 0).sum(axis=0) + 0.5 * (drawn == 0).sum(axis=0)) / usable
    bias = ndtri(np.clip(below, 1e-3, 1 - 1e-3))
    freedom = np.maximum(patients - 1, 1)
    reach = np.sqrt(patients / freedom) * stdtrit(freedom, (1 + confidence_level) / 2)
    ordered = np.sort(drawn, axis=0)  # nan last
    ends = []
    for sign in (-1, 1):
        shifted = bias + sign * reach
        share = ndtr(bias + shifted / np.maximum(1 - acceleration * shifted, 1e-6))
        ends.append(np.where(patients > 1, _quantile(ordered, usable, share), np.nan))
    return ends[0], ends[1]


def _quantile(
    ordered: NDArray[np.float32], usable: NDArray[np.int64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The `share` of each column whose first `usable` values are in order; linear between."""
    last = np.maximum(usable - 1, 0)
    place = np.nan_to_num(share) * last
    lower = place.astype(np.int64)
    upper = np.minimum(lower + 1, last)
    column = np.arange(ordered.shape[1])
    a, b = ordered[lower, column].astype(float), ordered[upper, column].astype(float)
    return a + (place - lower) * (b - a)


SCORE_RESAMPLES = 1_000
WEIGHTS_PER_CHUNK = 4_000_000
"""Weights held at a time, which bounds memory."""

Scores = dict[str, NDArray[np.float64]]


def score_intervals(
    score_fn: Callable[[NDArray[np.float64]], Scores],
    patients: Sequence[Any],
    *,
    n_resamples: int = SCORE_RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Find percentile intervals (Efron 1979) of scores that are no means, such as AUROC.

    Args:
        score_fn: (D, N) weights of the cases to the scores of each of D draws.
        patients: (N,) whom each case is of; patients are drawn, not cases.
        n_resamples: draws.
        seed: of the draws.

    Returns:
        95 % intervals by name of the score; the ends are nan with fewer than two patients.
    """
    _, place = np.unique(np.asarray(patients), return_inverse=True)
    count = len(patients)
    whole = {name: float(value[0]) for name, value in score_fn(np.ones((1, count))).items()}
    parts: list[Scores] = []
    random = np.random.default_rng(seed)
    step = max(1, WEIGHTS_PER_CHUNK // max(count, 1))
    number = int(place.max()) + 1 if count else 0
    for start in range(0, n_resamples if number > 1 else 0, step):
        weights = resample_counts(number, min(step, n_resamples - start), random)[:, place]
        parts.append(score_fn(weights.astype(np.float64)))
    found = {}
    for name, value in whole.items():
        drawn = np.concatenate([part[name] for part in parts]) if parts else np.array([np.nan])
        drawn = drawn[~np.isnan(drawn)]
        tail = (1 - CONFIDENCE_LEVEL) / 2
        ends = np.quantile(drawn, [tail, 1 - tail]) if len(drawn) else (np.nan, np.nan)
        found[name] = Interval(value, float(ends[0]), float(ends[1]), count)
    return found
