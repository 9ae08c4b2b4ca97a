"""What contenders do better or worse than the reference, score by score."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medlight.compare.auroc import Auroc, auroc, delong, difference_interval, error
from medlight.compare.cases import ALL, Key
from medlight.compare.groups import Group
from medlight.compare.power import ALPHA, detectable, detectable_auroc, spread_of
from medlight.compare.statistics import Test, by_patient, holm, mcnemar, wilcoxon, wins
from medlight.metrics.bootstrap import Interval, intervals
from medlight.metrics.names import METRICS, Metric

PARTS = ("recall",)
"""Metrics whose classes share out the cases: over all classes they are another metric."""

Values = Mapping[Key, NDArray[np.float64]]
"""(metric, class) to (N, G) values, the reference first."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one group does better or worse than the reference, by one score.

    Attributes:
        group, key: of the contender, and (metric, class).
        difference: contender minus reference, paired by case, with its interval by patient.
        test, adjusted: the paired test, and its p value with Holm's correction over all classes
            and contenders of the metric.
        wins, ties, losses: cases in which the contender is better, equal, worse.
        least: the smallest true difference that 4 of 5 such studies find, after the correction in
            its strictest step; nan where there are too few patients to find any.
        patients: how many the test rests on.
    """

    group: str
    key: Key
    difference: Interval
    test: Test
    adjusted: float
    wins: int
    ties: int
    losses: int
    least: float
    patients: int


def described(metric: str) -> Metric:
    """How a metric is read; one nobody described counts as better where it is larger."""
    return METRICS.get(metric, Metric("higher", "", metric.replace("_", " ")))


def better(metric: str) -> str:
    """ "higher" or "lower"; signed errors are compared by size, so lower."""
    return "higher" if described(metric).better == "higher" else "lower"


def over_classes(values: Values) -> dict[Key, NDArray[np.float64]]:
    """Of metrics with several classes, each case's mean over the classes it has a value for."""
    found: dict[Key, NDArray[np.float64]] = {}
    for metric, labels in _several(values).items():
        table = np.stack([values[metric, label] for label in labels])
        number = (~np.isnan(table)).sum(axis=0)
        total = np.nansum(table, axis=0)
        found[metric, ALL] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return found


def bootstrapped(
    values: Values, patients: Sequence[str], draws: int
) -> tuple[dict[Key, list[Interval]], dict[Key, list[Interval]]]:
    """Means of all groups, and paired differences of the contenders, with their intervals.

    Over all classes it is the mean of the classes' means, as in metrics.json.
    """
    scores: dict[Key, list[Interval]] = {}
    gaps: dict[Key, list[Interval]] = {}
    several = _several(values)
    for metric in dict.fromkeys(metric for metric, _ in values):
        labels = [label for m, label in values if m == metric]
        table = np.stack([values[metric, label] for label in labels], axis=1)  # (N, K, G)
        paired = np.concatenate([table, table[..., 1:] - table[..., :1]], axis=2)
        found = _means(paired, patients, draws, over_all=metric in several)
        groups = table.shape[2]
        for label, row in zip([*labels, ALL], found, strict=False):
            scores[metric, label], gaps[metric, label] = row[:groups], row[groups:]
    return scores, gaps


def claims_of(
    names: Sequence[str], per_case: Values, gaps: Mapping[Key, list[Interval]],
    patients: Sequence[str],
) -> list[Claim]:  # fmt: skip
    found = []
    for key, intervals_of in gaps.items():
        values = per_case[key]
        family = len(names) * sum(metric == key[0] for metric, _ in gaps)
        alpha = ALPHA / max(1, family)
        binary = bool(np.isin(values[~np.isnan(values)], (0, 1)).all())
        for column, (name, gap) in enumerate(zip(names, intervals_of, strict=True), 1):
            difference = values[:, column] - values[:, 0]
            test = (mcnemar if binary or key[0] == "accuracy" else wilcoxon)(difference, patients)
            moved = by_patient(difference, patients)
            enough = 2.0 ** (1 - len(moved)) < alpha  # else no sign of differences could tell
            least = detectable(spread_of(moved), len(moved), alpha=alpha) if enough else math.nan
            won = wins(difference, better(key[0]))
            found.append(Claim(name, key, gap, test, test.p, *won, least, len(moved)))
    return found


def areas_of(group: Group, cases: Sequence[str], patients: Sequence[str]) -> dict[Key, Auroc]:
    """One class against the rest, and their mean, over the runs of a group.

    The area of a group is the mean over its runs, each on the cases it was tested on.
    """
    place = {case: i for i, case in enumerate(cases)}
    found: dict[Key, Auroc] = {}
    names = group.example.classes
    for name in names:
        area, parts, number = 0.0, np.zeros(len(cases)), 0
        for run in group.runs:
            k = run.cases.classes.index(name)
            one = auroc(run.cases.probabilities[:, k], run.cases.truth == k, run.cases.patients)
            if np.isnan(one.area):
                continue
            area, number = area + one.area, number + 1
            parts[[place[case] for case in run.cases.ids]] += one.parts
        missing = float("nan") if not number else 1.0
        found["auroc", name] = Auroc(
            missing * area / max(number, 1), missing * parts / max(number, 1), len(cases)
        )
    known = [area for area in found.values() if not np.isnan(area.area)]
    if known:
        parts = np.mean([each.parts for each in known], axis=0)
        found["auroc", ALL] = Auroc(float(np.mean([a.area for a in known])), parts, len(cases))
    return found


def area_claims(
    names: Sequence[str], areas: Sequence[Mapping[Key, Auroc]], patients: Sequence[str]
) -> list[Claim]:
    found = []
    independent = len(set(patients))
    alpha = ALPHA / max(1, len(names) * len(areas[0]))
    for key, reference in areas[0].items():
        for name, of in zip(names, areas[1:], strict=True):
            gap = difference_interval(of[key], reference, patients)
            spread = error(of[key].parts - reference.parts, patients)
            least = detectable_auroc(spread, alpha=alpha)
            test = delong(of[key], reference, patients)
            found.append(Claim(name, key, gap, test, test.p, 0, 0, 0, least, independent))
    return found


def corrected(claims: Sequence[Claim]) -> list[Claim]:
    """With Holm's correction over all classes and contenders of each metric."""
    adjusted: dict[int, float] = {}
    for metric in {claim.key[0] for claim in claims}:
        family = [i for i, claim in enumerate(claims) if claim.key[0] == metric]
        adjusted |= zip(family, holm([claims[i].test.p for i in family]), strict=True)
    return [replace(claim, adjusted=adjusted[i]) for i, claim in enumerate(claims)]


def _several(values: Values) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for metric, label in values:
        labels.setdefault(metric, []).append(label)
    return {m: of for m, of in labels.items() if len(of) > 1 and m not in PARTS}


def _means(
    table: NDArray[np.float64], patients: Sequence[str], draws: int, *, over_all: bool
) -> list[list[Interval]]:
    """Intervals of (N, K, Q) values: a list of Q for each class, and for their mean."""
    _, classes, columns = table.shape
    flat = table.reshape(len(table), classes * columns)
    combine = np.eye(classes * columns)
    if over_all:
        known = (~np.isnan(table)).any(axis=0)  # (K, Q) classes that count
        share = known / np.maximum(known.sum(axis=0), 1)
        mean = np.zeros((classes, columns, columns))
        mean[:, np.arange(columns), np.arange(columns)] = share
        combine = np.concatenate([combine, mean.reshape(classes * columns, columns)], axis=1)
    found = intervals(flat, patients, combine=combine, draws=draws)
    rows = [found[k : k + columns] for k in range(0, len(found), columns)]
    if over_all:
        number = (~np.isnan(table)).any(axis=1).sum(axis=0)
        rows[-1] = [replace(each, n=int(n)) for each, n in zip(rows[-1], number, strict=True)]
    return rows
