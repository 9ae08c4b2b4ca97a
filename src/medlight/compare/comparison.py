"""Groups of runs against a reference: every number that tables and pages show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlight.compare.agreement import check_agreement
from medlight.compare.auroc import area_interval
from medlight.compare.cases import ALL, Key
from medlight.compare.claims import (
    Claim,
    area_claims,
    areas_of,
    better,
    bootstrapped,
    claims_of,
    corrected,
    over_classes,
)
from medlight.compare.cost import costs
from medlight.compare.groups import Group, differences
from medlight.compare.ranks import Rank, ranks
from medlight.compare.runs import Run, Skipped
from medlight.compare.statistics import SAME
from medlight.compare.variance import Split, variance_split
from medlight.core.errors import ConfigError
from medlight.metrics.bootstrap import DRAWS, Interval

MOVED = 20
"""How many cases that moved are kept for each contender."""


@dataclass(frozen=True, slots=True)
class Moved:
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
        moved: contender's name to the cases that moved most, by size.
    """

    groups: tuple[Group, ...]
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    metric: str
    scores: dict[str, dict[Key, Interval]]
    per_case: dict[Key, NDArray[np.float64]]
    claims: tuple[Claim, ...]
    moved: dict[str, list[Moved]]
    ranks: list[Rank]
    spread: dict[str, Split]
    costs: dict[str, dict[str, float]]
    differences: list[tuple[str, list[str]]]
    skipped: tuple[Skipped, ...] = ()

    @property
    def reference(self) -> Group:
        return self.groups[0]

    @property
    def metrics(self) -> list[str]:
        return list(dict.fromkeys(metric for metric, _ in self.scores[self.reference.name]))

    def classes(self, metric: str) -> list[str]:
        """The classes a metric has, all of them together ("") last."""
        found = [name for m, name in self.scores[self.reference.name] if m == metric]
        return sorted(found, key=lambda name: name == ALL)


def compare(
    groups: Sequence[Group],
    *,
    reference: int = 0,
    metrics: Sequence[str] = (),
    draws: int = DRAWS,
    skipped: Sequence[Skipped] = (),
) -> Comparison:
    """Everything about these groups, against the one at `reference`.

    Args:
        groups: as `grouped` makes them.
        reference: which of them the others are compared with.
        metrics: which scores; all that every run has where empty. The first is the main one.
        draws: of the bootstrap.
        skipped: run directories that could not be read, for the record.

    Raises:
        ConfigError: test cases, labels or metric policy differ, or no run has such a metric.
    """
    ordered = [groups[reference], *(g for i, g in enumerate(groups) if i != reference)]
    check_agreement(ordered, ordered[0])
    cases = ordered[0].cases
    known = {
        c: p for r in ordered[0].runs for c, p in zip(r.cases.ids, r.cases.patients, strict=True)
    }
    patients = tuple(known[case] for case in cases)
    keys = _keys(ordered, metrics)
    main = metrics[0] if metrics else _main(ordered[0], keys)
    keys.sort(key=lambda key: key[0] != main)  # stable: the main metric first
    single = {key: np.stack([g.per_case(key, cases) for g in ordered], axis=1) for key in keys}
    per_case = single | over_classes(single)
    scores, gaps = bootstrapped(single, patients, draws)
    claims = claims_of([g.name for g in ordered[1:]], per_case, gaps, patients)
    if ordered[0].example.kind == "classification" and (not metrics or "auroc" in metrics):
        areas = [areas_of(g, cases, patients) for g in ordered]
        claims += area_claims([g.name for g in ordered[1:]], areas, patients)
        scores |= {k: [area_interval(of[k], patients) for of in areas] for k in areas[0]}
    whole = (main, ALL) if (main, ALL) in per_case else next(k for k in per_case if k[0] == main)
    names = [g.name for g in ordered]
    return Comparison(
        groups=tuple(ordered),
        cases=cases,
        patients=patients,
        metric=main,
        scores={n: {k: found[i] for k, found in scores.items()} for i, n in enumerate(names)},
        per_case=per_case,
        claims=tuple(corrected(claims)),
        moved={n: _moved(cases, per_case[whole], i) for i, n in enumerate(names) if i},
        ranks=ranks(per_case[whole], patients, better=better(main), draws=draws),
        spread={g.name: variance_split(g, _valued(whole)) for g in ordered},
        costs={g.name: costs(g) for g in ordered},
        differences=differences(ordered),
        skipped=tuple(skipped),
    )


def _keys(groups: Sequence[Group], metrics: Sequence[str]) -> list[Key]:
    """The scores that all groups have, of these metrics where some are named."""
    there = [key for key in groups[0].shared if all(key in g.shared for g in groups)]
    known = dict.fromkeys(metric for metric, _ in there)
    if groups[0].example.kind == "classification":
        known["auroc"] = None
    if strange := [metric for metric in metrics if metric not in known]:
        raise ConfigError(
            f"--metric {strange[0]}: not in every cases.csv; there is {', '.join(known)}"
        )
    kept = [key for key in there if not metrics or key[0] in metrics]
    return kept or [key for key in there if key[0] == next(iter(known))]


def _main(reference: Group, keys: Sequence[Key]) -> str:
    """What the runs themselves chose their checkpoint by, where cases have it."""
    wanted = str(reference.runs[0].config.get("metric", "")).split("/")
    names = [metric for metric, _ in keys]
    return wanted[1] if len(wanted) > 1 and wanted[1] in names else names[0]


def _valued(key: Key) -> Callable[[Run], NDArray[np.float64]]:
    def values(run: Run) -> NDArray[np.float64]:
        if key in run.cases.scores:
            return run.cases.scores[key]
        of_metric = {k: v[:, None] for k, v in run.cases.scores.items() if k[0] == key[0]}
        return over_classes(of_metric)[key][:, 0]

    return values


def _moved(cases: Sequence[str], values: NDArray[np.float64], column: int) -> list[Moved]:
    size = np.nan_to_num(np.abs(values[:, column] - values[:, 0]))
    order = [i for i in np.argsort(-size, kind="stable")[:MOVED] if size[i] > SAME]
    return [Moved(cases[i], float(values[i, 0]), float(values[i, column])) for i in order]
