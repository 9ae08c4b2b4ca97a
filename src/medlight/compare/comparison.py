"""Groups of runs against a reference: every number that tables and pages show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlight.compare.auroc import area_interval
from medlight.compare.case_scores import ALL_CLASSES, ScoreKey
from medlight.compare.comparability import check_comparable
from medlight.compare.cost import costs
from medlight.compare.groups import Group, config_differences
from medlight.compare.paired import (
    AUROC,
    PairedResult,
    auroc_results,
    bootstrap_means,
    group_auroc,
    holm_correct,
    mean_over_classes,
    paired_results,
)
from medlight.compare.runs import Run, Skipped
from medlight.compare.stability import Rank, VarianceComponents, ranks, variance_components
from medlight.compare.statistics import TIE_TOLERANCE
from medlight.core.errors import ConfigError
from medlight.core.outcome import Metric
from medlight.metrics.bootstrap import N_RESAMPLES, Interval

MAX_CHANGES = 20
"""How many cases that moved are kept for each contender."""


@dataclass(frozen=True, slots=True)
class Change:
    """A case whose score changed, and from what to what."""

    case: str
    reference: float
    contender: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The groups, the first being the reference, and what is known of them.

    Attributes:
        cases, patients: N ids each.
        metric: the score that ranks, cases that moved and the spread are told by.
        scores: group name to (metric, class) to the mean and its interval by patient.
        per_case: (metric, class) to (N, G) values.
        claims: contenders against the reference.
        changes: contender's name to the cases that moved most, by size.
    """

    groups: tuple[Group, ...]
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    metric: str
    scores: dict[str, dict[ScoreKey, Interval]]
    per_case: dict[ScoreKey, NDArray[np.float64]]
    results: tuple[PairedResult, ...]
    changes: dict[str, list[Change]]
    ranks: list[Rank]
    variance: dict[str, VarianceComponents]
    costs: dict[str, dict[str, float]]
    config_differences: list[tuple[str, list[str]]]
    skipped: tuple[Skipped, ...] = ()

    @property
    def reference(self) -> Group:
        return self.groups[0]

    def about(self, metric: str) -> Metric:
        """How a metric is read: what the outcome of the runs says."""
        return self.reference.first_cases.spec.metrics[metric]

    @property
    def main(self) -> Metric:
        """How the main metric is read."""
        return self.about(self.metric)

    @property
    def metrics(self) -> list[str]:
        return list(dict.fromkeys(metric for metric, _ in self.scores[self.reference.name]))

    def classes(self, metric: str) -> list[str]:
        """The classes a metric has, all of them together ("") last."""
        found = [name for m, name in self.scores[self.reference.name] if m == metric]
        return sorted(found, key=lambda name: name == ALL_CLASSES)


def compare(
    groups: Sequence[Group],
    *,
    reference: int = 0,
    metrics: Sequence[str] = (),
    n_resamples: int = N_RESAMPLES,
    skipped: Sequence[Skipped] = (),
) -> Comparison:
    """Everything about these groups, against the one at `reference`.

    Args:
        groups: as `group_runs` makes them.
        reference: which of them the others are compared with.
        metrics: which scores; all that every run has where empty. The first is the main one.
        n_resamples: of the bootstrap.
        skipped: run directories that could not be read, for the record.

    Raises:
        ConfigError: test cases, labels or metric policy differ, or no run has such a metric.
    """
    ordered = [groups[reference], *(g for i, g in enumerate(groups) if i != reference)]
    check_comparable(ordered, ordered[0])
    cases = ordered[0].cases
    known = {
        c: p for r in ordered[0].runs for c, p in zip(r.cases.ids, r.cases.patients, strict=True)
    }
    patients = tuple(known[case] for case in cases)
    keys = _keys(ordered, metrics)
    main = metrics[0] if metrics else _main(ordered[0], keys)
    keys.sort(key=lambda key: key[0] != main)  # stable: the main metric first
    single = {key: np.stack([g.per_case(key, cases) for g in ordered], axis=1) for key in keys}
    known_metrics = ordered[0].first_cases.spec.metrics
    per_case = single | mean_over_classes(single, known_metrics)
    scores, differences = bootstrap_means(single, known_metrics, patients, n_resamples)
    contenders = [g.name for g in ordered[1:]]
    results = paired_results(contenders, per_case, known_metrics, differences, patients)
    if _pooled_auroc(ordered[0]) and (not metrics or AUROC in metrics):
        areas = [group_auroc(g, cases, patients) for g in ordered]
        results += auroc_results(contenders, areas, known_metrics[AUROC], patients)
        scores |= {k: [area_interval(of[k], patients) for of in areas] for k in areas[0]}
    main_key = (
        (main, ALL_CLASSES)
        if (main, ALL_CLASSES) in per_case
        else next(k for k in per_case if k[0] == main)
    )
    names = [g.name for g in ordered]
    return Comparison(
        groups=tuple(ordered),
        cases=cases,
        patients=patients,
        metric=main,
        scores={n: {k: found[i] for k, found in scores.items()} for i, n in enumerate(names)},
        per_case=per_case,
        results=tuple(holm_correct(results)),
        changes={
            n: _largest_changes(cases, per_case[main_key], i) for i, n in enumerate(names) if i
        },
        ranks=ranks(
            per_case[main_key],
            patients,
            better=known_metrics[main].direction,
            n_resamples=n_resamples,
        ),
        variance={g.name: variance_components(g, _valued(main_key)) for g in ordered},
        costs={g.name: costs(g) for g in ordered},
        config_differences=config_differences(ordered),
        skipped=tuple(skipped),
    )


def _pooled_auroc(group: Group) -> bool:
    """Whether the runs give probabilities that an area under the curve can be computed from."""
    metric = group.first_cases.spec.metrics.get(AUROC)
    return metric is not None and metric.value == AUROC


def _keys(groups: Sequence[Group], metrics: Sequence[str]) -> list[ScoreKey]:
    """The scores that all groups have, of these metrics where some are named."""
    there = [key for key in groups[0].shared_scores if all(key in g.shared_scores for g in groups)]
    known = dict.fromkeys(metric for metric, _ in there)
    if _pooled_auroc(groups[0]):
        known[AUROC] = None
    if strange := [metric for metric in metrics if metric not in known]:
        raise ConfigError(
            f"--metric {strange[0]}: not in every cases.csv; there is {', '.join(known)}"
        )
    kept = [key for key in there if not metrics or key[0] in metrics]
    return kept or [key for key in there if key[0] == next(iter(known))]


def _main(reference: Group, keys: Sequence[ScoreKey]) -> str:
    """What the runs themselves chose their checkpoint by, where cases have it."""
    wanted = str(reference.runs[0].config.get("metric", "")).split("/")
    names = [metric for metric, _ in keys]
    return wanted[1] if len(wanted) > 1 and wanted[1] in names else names[0]


def _valued(key: ScoreKey) -> Callable[[Run], NDArray[np.float64]]:
    def values(run: Run) -> NDArray[np.float64]:
        if key in run.cases.scores:
            return run.cases.scores[key]
        of_metric = {k: v[:, None] for k, v in run.cases.scores.items() if k[0] == key[0]}
        return mean_over_classes(of_metric, run.cases.spec.metrics)[key][:, 0]

    return values


def _largest_changes(
    cases: Sequence[str], values: NDArray[np.float64], column: int
) -> list[Change]:
    size = np.nan_to_num(np.abs(values[:, column] - values[:, 0]))
    order = [i for i in np.argsort(-size, kind="stable")[:MAX_CHANGES] if size[i] > TIE_TOLERANCE]
    return [Change(cases[i], float(values[i, 0]), float(values[i, column])) for i in order]
