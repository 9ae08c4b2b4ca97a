"""Runs of one configuration belong together: seeds and folds of it are repeats, not rivals."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.compare.case_scores import CaseScores, ScoreKey
from medlight.compare.runs import Run
from medlight.runs.config_keys import Role, key_role

PROVENANCE_KEYS = {
    "data": "data.name",
    "data fingerprint": "data.fingerprint",
    "medlight": "code.medlight",
    "commit": "code.commit",
    "torch": "code.torch",
    "device": "hardware.device",
    "precision": "hardware.precision",
    "training cases": "split.train",
    "policy": "policy",
}
ABSENT = "–"


@dataclass(frozen=True, slots=True)
class Group:
    """All runs of one configuration.

    Attributes:
        name: what tells it from the others.
        runs: one for each seed and fold.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def cases(self) -> tuple[str, ...]:
        """Every case that one of the runs was tested on, by id."""
        return tuple(sorted({case for run in self.runs for case in run.cases.ids}))

    @property
    def first_cases(self) -> CaseScores:
        return self.runs[0].cases

    @property
    def shared_scores(self) -> list[ScoreKey]:
        """The scores that all of its runs have."""
        return [
            key for key in self.first_cases.scores if all(key in r.cases.scores for r in self.runs)
        ]

    def describe_repeats(self) -> str:
        """How often, in words: "3 seeds x 5 folds"."""
        seeds, folds = len({r.seed for r in self.runs}), len({r.fold for r in self.runs})
        said = [f"{n} {what}s" for n, what in ((seeds, "seed"), (folds, "fold")) if n > 1]
        return " × ".join(said) or "1 run"

    def per_case(self, key: ScoreKey, cases: Sequence[str]) -> NDArray[np.float64]:
        """(N,) mean over the runs that tested each case; nan where none has a value."""
        return self.mean_over_runs(lambda run: run.cases.scores[key], cases)

    def mean_over_runs(
        self, values: Callable[[Run], NDArray[np.float64]], cases: Sequence[str]
    ) -> NDArray[np.float64]:
        place = {case: i for i, case in enumerate(cases)}
        total, number = np.zeros(len(cases)), np.zeros(len(cases))
        for run in self.runs:
            at = np.array([place[case] for case in run.cases.ids])
            found = values(run)
            known = ~np.isnan(found)
            total[at[known]] += found[known]
            number[at[known]] += 1
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Runs by what they have in common, in the order in which they were named.

    Runs go together where configuration and data are the same but for seed and fold. No group
    holds two runs of one seed and fold: such are told apart by commit, or else by directory.
    """
    keys = {id(run): (_settings(run), str(run.get("data.fingerprint"))) for run in runs}
    refined: dict[int, tuple[Any, ...]] = dict(keys)
    for extra in (lambda run: str(run.get("code.commit")), lambda run: str(run.path)):
        count = Counter((refined[id(run)], run.seed, run.fold) for run in runs)
        twice = {key for (key, _, _), n in count.items() if n > 1}
        for run in runs:
            if refined[id(run)] in twice:
                refined[id(run)] = (refined[id(run)], extra(run))
    members: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        members.setdefault(refined[id(run)], []).append(run)
    names = _names(list(members.values()))
    return [Group(n, tuple(group)) for n, group in zip(names, members.values(), strict=True)]


def config_differences(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """What differs between groups: a setting or a fact, and its value in each group."""
    rows = _differing([dict(_settings(group.runs[0])) for group in groups])
    provenance = [
        {name: _shown({str(run.get(key)) for run in group.runs}) for name, key in _PROVENANCE_ITEMS}
        for group in groups
    ]
    return rows + _differing(provenance)


_PROVENANCE_ITEMS = tuple(PROVENANCE_KEYS.items())


def _shown(values: set[str]) -> str:
    return ", ".join(sorted(v[:12] if len(v) > 32 and " " not in v else v for v in values))


def _settings(run: Run) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (key, str(value))
            for key, value in run.config.items()
            if key_role(key) is Role.ARITHMETIC
        )
    )


def _differing(tables: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    names = dict.fromkeys(name for table in tables for name in table)
    rows = [(name, [table.get(name, ABSENT) for table in tables]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _names(members: Sequence[Sequence[Run]]) -> list[str]:
    """The fewest settings that tell groups apart, the telling ones first; or directories."""
    if len(members) == 1:
        return [str(members[0][0].config.get("name") or members[0][0].path.name)]
    titles = [str(group[0].config.get("name", "")) for group in members]
    rows = _differing([dict(_settings(group[0])) for group in members])
    rows = [(key, values) for key, values in rows if ABSENT not in values]
    rows = [("name", titles), *rows] if len(set(titles)) > 1 else rows
    said: list[list[str]] = [[] for _ in members]
    for key, values in sorted(rows, key=lambda row: _name_priority(row[0])):
        apart = len({tuple(s) for s in said})
        trial = [[*s, _short_setting(key, value)] for s, value in zip(said, values, strict=True)]
        if len({tuple(s) for s in trial}) > apart:
            said = trial
    names = [", ".join(each) for each in said]
    if len(set(names)) == len(names):
        return names
    folders = [group[0].path.name for group in members]
    unique = len(set(folders)) == len(folders)
    return folders if unique else ["/".join(group[0].path.parts[-2:]) for group in members]


def _name_priority(key: str) -> tuple[int, int, str]:
    """What to name a group by: the recipe, then a class, then a short value of a short key."""
    rank = 0 if key == "name" else 1 if key.endswith("_target_") else 2
    return rank, key.count("."), key


def _short_setting(key: str, value: str) -> str:
    if key == "name":
        return value
    if key.endswith("_target_"):
        return value.rpartition(".")[2]
    return f"{key.rpartition('.')[2]}={value}"
