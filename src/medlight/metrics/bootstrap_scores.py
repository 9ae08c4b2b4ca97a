"""Intervals of scores that are no means, such as AUROC: the score of every draw of patients."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.metrics.bootstrap import CONFIDENCE_LEVEL, Interval, resample_counts

N_RESAMPLES = 1_000
WEIGHTS_PER_CHUNK = 4_000_000
"""Weights held at a time, which bounds memory."""

Scores = dict[str, NDArray[np.float64]]


def score_intervals(
    score_fn: Callable[[NDArray[np.float64]], Scores],
    patients: Sequence[Any],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """95 % percentile intervals (Efron 1979) of all scores that `score_fn` computes from (D, N)
    weights of the cases. The ends are nan where there are fewer than two patients."""
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
