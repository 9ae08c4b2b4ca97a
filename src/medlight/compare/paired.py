"""What contenders do better or worse than the reference, score by score."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medlight.compare.auroc import Auroc, auroc, delong, difference_interval, standard_error
from medlight.compare.case_scores import ALL_CLASSES, ScoreKey
from medlight.compare.groups import Group
from medlight.compare.statistics import (
    ALPHA,
    TestResult,
    count_wins,
    holm,
    mcnemar,
    min_detectable_auroc,
    min_detectable_difference,
    patient_means,
    sample_std,
    wilcoxon,
)
from medlight.core.outcome import Metric
from medlight.metrics.bootstrap import Interval, bootstrap_intervals

AUROC = "auroc"
"""The metric that is computed from all cases together."""

ScoreValues = Mapping[ScoreKey, NDArray[np.float64]]
"""(metric, class) to (N, G) values, the reference first."""

Metrics = Mapping[str, Metric]
"""How each metric of the values is read: what the runs' outcome says."""


@dataclass(frozen=True, slots=True)
class PairedResult:
    """What one group does better or worse than the reference, by one score.

    Attributes:
        group, key, metric: of the contender, (metric, class), and how the metric is read.
        difference: contender minus reference, paired by case, with its interval by patient.
        test, adjusted: the paired test, and its p value with Holm's correction over all classes
            and contenders of the metric.
        wins, ties, losses: cases in which the contender is better, equal, worse.
        min_detectable: the smallest true difference that 4 of 5 such studies find, after the
            correction in its strictest step; nan where there are too few patients to find any.
        patients: how many the test rests on.
    """

    group: str
    key: ScoreKey
    metric: Metric
    difference: Interval
    test: TestResult
    adjusted: float
    wins: int
    ties: int
    losses: int
    min_detectable: float
    patients: int


def mean_over_classes(values: ScoreValues, metrics: Metrics) -> dict[ScoreKey, NDArray[np.float64]]:
    """Of metrics with several classes, each case's mean over the classes it has a value for."""
    found: dict[ScoreKey, NDArray[np.float64]] = {}
    for metric, labels in _multi_class_metrics(values, metrics).items():
        table = np.stack([values[metric, label] for label in labels])
        number = (~np.isnan(table)).sum(axis=0)
        total = np.nansum(table, axis=0)
        found[metric, ALL_CLASSES] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return found


def bootstrap_means(
    values: ScoreValues, metrics: Metrics, patients: Sequence[str], n_resamples: int
) -> tuple[dict[ScoreKey, list[Interval]], dict[ScoreKey, list[Interval]]]:
    """Means of all groups, and paired differences of the contenders, with their intervals.

    Over all classes it is the mean of the classes' means, as in metrics.json.

    Args:
        values: metric and class to (N, G) values, N cases and G groups.
        metrics: name to what it is.
        patients: N, whose the cases are.
        n_resamples: of the bootstrap by patient.

    Returns:
        Means, one a group, and differences to the first group, one a contender.
    """
    scores: dict[ScoreKey, list[Interval]] = {}
    differences: dict[ScoreKey, list[Interval]] = {}
    several = _multi_class_metrics(values, metrics)
    for metric in dict.fromkeys(metric for metric, _ in values):
        labels = [label for m, label in values if m == metric]
        table = np.stack([values[metric, label] for label in labels], axis=1)  # (N, K, G)
        paired = np.concatenate([table, table[..., 1:] - table[..., :1]], axis=2)
        found = _means(paired, patients, n_resamples, over_all=metric in several)
        groups = table.shape[2]
        for label, row in zip([*labels, ALL_CLASSES], found, strict=False):
            scores[metric, label], differences[metric, label] = row[:groups], row[groups:]
    return scores, differences


def paired_results(
    names: Sequence[str],
    per_case: ScoreValues,
    metrics: Metrics,
    differences: Mapping[ScoreKey, list[Interval]],
    patients: Sequence[str],
) -> list[PairedResult]:
    """Test the contenders against the reference, metric by metric and class by class.

    Args:
        names: of the contenders.
        per_case: values of the reference and, in this order, of the contenders.
        metrics: how they are read.
        differences: mean differences of the contenders with their intervals.
        patients: (N,) patient of each case.
    """
    found = []
    for key, intervals_of in differences.items():
        values, metric = per_case[key], metrics[key[0]]
        family = len(names) * sum(metric == key[0] for metric, _ in differences)
        alpha = ALPHA / max(1, family)
        binary = bool(np.isin(values[~np.isnan(values)], (0, 1)).all())
        for column, (name, interval) in enumerate(zip(names, intervals_of, strict=True), 1):
            difference = values[:, column] - values[:, 0]
            test = (mcnemar if binary or metric.test == "mcnemar" else wilcoxon)(
                difference, patients
            )
            patient_differences = patient_means(difference, patients)
            number, detectable = len(patient_differences), math.nan
            if 2.0 ** (1 - number) < alpha:  # else no signs of the differences are significant
                spread = sample_std(patient_differences)
                detectable = min_detectable_difference(spread, number, alpha=alpha)
            won = count_wins(difference, metric.direction)
            found.append(
                PairedResult(name, key, metric, interval, test, test.p, *won, detectable, number)
            )
    return found


def group_auroc(
    group: Group, cases: Sequence[str], patients: Sequence[str]
) -> dict[ScoreKey, Auroc]:
    """One class against the rest, and their mean, over the runs of a group.

    The area of a group is the mean over its runs, each on the cases it was tested on.

    Args:
        group: of classifiers.
        cases: N ids, of all groups.
        patients: N, whose they are.

    Returns:
        Metric and class to the area; `ALL_CLASSES` to the mean.
    """
    place = {case: i for i, case in enumerate(cases)}
    found: dict[ScoreKey, Auroc] = {}
    names = group.first_cases.classes
    for name in names:
        area, influence, number = 0.0, np.zeros(len(cases)), 0
        for run in group.runs:
            k = run.cases.classes.index(name)
            truth, score = run.cases.truth[:, k], run.cases.probabilities[:, k]
            seen = ~np.isnan(truth)
            patients_seen = [p for p, yes in zip(run.cases.patients, seen, strict=True) if yes]
            one = auroc(score[seen], truth[seen] == 1, patients_seen)
            if np.isnan(one.area):
                continue
            area, number = area + one.area, number + 1
            at = [place[case] for case, yes in zip(run.cases.ids, seen, strict=True) if yes]
            influence[at] += one.influence
        missing = float("nan") if not number else 1.0
        found[AUROC, name] = Auroc(
            missing * area / max(number, 1), missing * influence / max(number, 1), len(cases)
        )
    known = [area for area in found.values() if not np.isnan(area.area)]
    if known:
        influence = np.mean([each.influence for each in known], axis=0)
        found[AUROC, ALL_CLASSES] = Auroc(
            float(np.mean([a.area for a in known])), influence, len(cases)
        )
    return found


def auroc_results(
    names: Sequence[str],
    areas: Sequence[Mapping[ScoreKey, Auroc]],
    metric: Metric,
    patients: Sequence[str],
) -> list[PairedResult]:
    """Compare areas under the ROC curve by DeLong's test.

    Args:
        names: of the contenders.
        areas: those of each group, the reference's first.
        metric: what they are.
        patients: N, whose the cases are.
    """
    found = []
    independent = len(set(patients))
    alpha = ALPHA / max(1, len(names) * len(areas[0]))
    for key, reference in areas[0].items():
        for name, of in zip(names, areas[1:], strict=True):
            interval = difference_interval(of[key], reference, patients)
            spread = standard_error(of[key].influence - reference.influence, patients)
            min_detectable = min_detectable_auroc(spread, alpha=alpha)
            test = delong(of[key], reference, patients)
            result = PairedResult(
                name, key, metric, interval, test, test.p, 0, 0, 0, min_detectable, independent
            )
            found.append(result)
    return found


def holm_correct(results: Sequence[PairedResult]) -> list[PairedResult]:
    """With Holm's correction over all classes and contenders of each metric."""
    adjusted: dict[int, float] = {}
    for metric in {result.key[0] for result in results}:
        family = [i for i, result in enumerate(results) if result.key[0] == metric]
        adjusted |= zip(family, holm([results[i].test.p for i in family]), strict=True)
    return [replace(result, adjusted=adjusted[i]) for i, result in enumerate(results)]


def _multi_class_metrics(values: ScoreValues, metrics: Metrics) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for metric, label in values:
        labels.setdefault(metric, []).append(label)
    return {m: of for m, of in labels.items() if len(of) > 1 and metrics[m].macro}


def _means(
    table: NDArray[np.float64], patients: Sequence[str], n_resamples: int, *, over_all: bool
) -> list[list[Interval]]:
    """Intervals of (N, K, Q) values: a list of Q for each class, and for their mean."""
    _, classes, columns = table.shape
    flat = table.reshape(len(table), classes * columns)
    contrasts = np.eye(classes * columns)
    if over_all:
        known = (~np.isnan(table)).any(axis=0)  # (K, Q) classes that count
        share = known / np.maximum(known.sum(axis=0), 1)
        mean = np.zeros((classes, columns, columns))
        mean[:, np.arange(columns), np.arange(columns)] = share
        contrasts = np.concatenate([contrasts, mean.reshape(classes * columns, columns)], axis=1)
    found = bootstrap_intervals(flat, patients, contrasts=contrasts, n_resamples=n_resamples)
    rows = [found[k : k + columns] for k in range(0, len(found), columns)]
    if over_all:
        number = (~np.isnan(table)).any(axis=1).sum(axis=0)
        rows[-1] = [replace(each, n=int(n)) for each, n in zip(rows[-1], number, strict=True)]
    return rows
