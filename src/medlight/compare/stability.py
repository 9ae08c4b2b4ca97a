"""What other patients, seeds and folds would have changed: the order of runs, and their scores."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.compare.groups import Group
from medlight.compare.runs import Run
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
    """Find how stable the places of groups are, over draws of patients with replacement.

    Args:
        values: (N, G) of N cases and G groups; only cases that all groups have a value for count.
        patients: N, whose they are.
        better: "higher" or "lower".
        n_resamples: draws.
        seed: of the draws.

    Returns:
        One a group; empty where no case has all values.
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


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """Standard deviations of a score; nan where a design cannot tell.

    Attributes:
        seed: of the mean score over seeds, beyond what single cases explain.
        fold: of the mean score over folds, beyond what their cases and seeds explain.
        case: of a case's own difficulty; without several seeds it holds the chance of one.
        residual: of one case between seeds.
        seeds, folds: how many there were.
    """

    seed: float
    fold: float
    case: float
    residual: float
    seeds: int
    folds: int


def variance_components(
    group: Group, values: Callable[[Run], NDArray[np.float64]]
) -> VarianceComponents:
    """Henderson's first method on runs of one configuration: mean squares and what they expect.

    y[s, f, i] = mean + fold[f] + seed[s, f] + case[i] + chance[s, i], where fold f has cases of
    its own, and all seeds of a fold test the same cases. Negative estimates count as 0.
    """
    folds: dict[str, dict[str, np.ndarray]] = {}
    for run in group.runs:
        folds.setdefault(run.fold, {})[run.seed] = values(run)
    tables = []
    for runs in folds.values():  # (S, n) of each fold, the cases that all its seeds know
        lengths = {len(values) for values in runs.values()}
        if len(lengths) == 1:
            table = np.stack(list(runs.values()))
            tables.append(table[:, ~np.isnan(table).any(axis=0)])
    tables = [table for table in tables if table.shape[1] > 1]
    seeds, number = len({run.seed for run in group.runs}), len(tables)
    if not tables:
        return VarianceComponents(math.nan, math.nan, math.nan, math.nan, seeds, number)
    residual = _pooled([_interaction(t) for t in tables if len(t) > 1])
    between = [(float(t.mean(axis=0).var(ddof=1)), t.shape[1] - 1) for t in tables]
    case = _pooled(
        [(v - _or_zero(residual) / len(t), n) for (v, n), t in zip(between, tables, strict=True)]
    )
    seed = _pooled(
        [
            (float(t.mean(axis=1).var(ddof=1)) - _or_zero(residual) / t.shape[1], len(t) - 1)
            for t in tables
            if len(t) > 1
        ]
    )
    fold = math.nan
    if number > 1:
        noise = np.mean(
            [
                case / t.shape[1] + _or_zero(residual) / t.size + _or_zero(seed) / len(t)
                for t in tables
            ]
        )
        fold = float(np.var([t.mean() for t in tables], ddof=1) - noise)
    return VarianceComponents(_root(seed), _root(fold), _root(case), _root(residual), seeds, number)


def _interaction(table: np.ndarray) -> tuple[float, int]:
    """Mean square of what neither the case nor the run explains, and its degrees of freedom."""
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return float((rest**2).sum() / freedom), freedom


def _pooled(estimates: list[tuple[float, int]]) -> float:
    if not estimates:
        return math.nan
    values, weights = zip(*estimates, strict=True)
    return max(0.0, float(np.average(values, weights=weights)))


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _root(value: float) -> float:
    return math.nan if math.isnan(value) else math.sqrt(max(0.0, value))
