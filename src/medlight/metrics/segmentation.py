"""Rows of a segmentation to scores: means over cases, then over classes, and their intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.metrics.bootstrap import Interval, bootstrap_interval, bootstrap_intervals
from medlight.metrics.names import CASE_METRICS

Rows = Sequence[Mapping[str, Any]]


def summarise_segmentation(rows: Rows, names: Sequence[str]) -> dict[str, float]:
    """Mean over the cases of each class, then over classes; and what each mean is a mean of.

    A case where a class is neither in the reference nor predicted is left out, and counted.

    >>> rows = [{"case": c, "class": "a", "dice": d, "n_reference": 9, "n_predicted": p}
    ...         for c, d, p in (("1", 1.0, 9), ("2", 0.0, 0))]
    >>> scores = summarise_segmentation(rows, ["a"])
    >>> [scores[name] for name in ("dice", "dice/a", "cases", "cases/a", "false_negatives/a")]
    [0.5, 0.5, 2, 2, 1]
    """
    tables = {name: _table(rows, name) for name in names}
    scores: dict[str, float] = {}
    for metric in _metrics(rows):
        each = {f"{metric}/{name}": _mean(table[metric]) for name, table in tables.items()}
        scores |= {metric: _mean(np.array(list(each.values()))), **each}
    for name in names:
        scores |= _counts([row for row in rows if row["class"] == name], name)
    present = [row for row in rows if row["n_reference"] or row["n_predicted"]]
    scores["cases"] = len({row["case"] for row in present})
    return scores


def segmentation_intervals(rows: Rows, names: Sequence[str]) -> dict[str, Interval]:
    """Find 95 % bootstrap intervals by patient of all that `summarise_segmentation` averages.

    For the mean over classes each case stands for its part in that mean (the mean's linear term),
    so that a class that few cases have is not taken for certain.

    Args:
        rows: of cases and classes; they need their `patient`, too.
        names: of the classes.
    """
    metrics = _metrics(rows)
    if not rows or not metrics:
        return {}
    cases = list(dict.fromkeys(str(row["case"]) for row in rows))
    patient_of = {str(row["case"]): row["patient"] for row in rows}
    patients = [patient_of[case] for case in cases]
    place = {case: number for number, case in enumerate(cases)}
    values = np.full((len(cases), len(metrics), len(names)), np.nan)
    for k, name in enumerate(names):
        own = [row for row in rows if row["class"] == name]
        table = _table(own, name)
        for m, metric in enumerate(metrics):
            values[[place[str(row["case"])] for row in own], m, k] = table[metric]
    found: dict[str, Interval] = {}
    for m, metric in enumerate(metrics):
        found[metric] = bootstrap_interval(_parts(values[:, m]), patients)
    each = bootstrap_intervals(values.reshape(len(cases), -1), patients)
    keys = [f"{metric}/{name}" for metric in metrics for name in names]
    return found | dict(zip(keys, each, strict=True))


def _parts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, K) values to (N,) whose mean is the mean over classes of the means over cases."""
    known = ~np.isnan(values)
    values, known = values[:, known.any(axis=0)], known[:, known.any(axis=0)]
    if not values.size:
        return np.full(len(values), np.nan)
    means = np.nanmean(values, axis=0)
    off = np.where(known, values - means, 0) / known.mean(axis=0)
    scored = known.any(axis=1)
    parts: NDArray[np.float64] = off.mean(axis=1) * scored.mean() + means.mean()
    return np.where(scored, parts, np.nan)


def _metrics(rows: Rows) -> list[str]:
    """The metrics that rows have, and those that follow from them."""
    known = [metric for metric in CASE_METRICS if rows and metric in rows[0]]
    if "volume_ml_error" in known:
        known.insert(known.index("volume_ml_error") + 1, "volume_ml_absolute_error")
    return known or ["dice"]


def _table(rows: Rows, name: str) -> dict[str, NDArray[np.float64]]:
    own = [row for row in rows if row["class"] == name]
    table = {
        metric: np.array([row[metric] for row in own], dtype=float)
        for metric in _metrics(rows)
        if metric != "volume_ml_absolute_error"
    }
    if "volume_ml_error" in table:
        table["volume_ml_absolute_error"] = np.abs(table["volume_ml_error"])
    return table


def _counts(rows: Rows, name: str) -> dict[str, int]:
    there = [bool(row["n_reference"]) for row in rows]
    guessed = [bool(row["n_predicted"]) for row in rows]
    left_out = sum(not (a or b) for a, b in zip(there, guessed, strict=True))
    return {
        f"cases/{name}": len(rows) - left_out,
        f"not_scored/{name}": left_out,
        f"false_negatives/{name}": sum(
            t and not row["dice"] for t, row in zip(there, rows, strict=True)
        ),
        f"false_positives/{name}": sum(g and not t for t, g in zip(there, guessed, strict=True)),
    }


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
