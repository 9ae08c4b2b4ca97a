"""What must be the same before scores may be compared: test cases, labels, policy."""

from collections.abc import Sequence

import numpy as np

from medlight.compare.groups import Group
from medlight.compare.runs import Run
from medlight.core.errors import ConfigError


def check_comparable(groups: Sequence[Group], reference: Group) -> None:
    """ConfigError, which names the first run that cannot be compared and why."""
    for group in groups:
        for run in group.runs:
            _check_same_setup(run, reference.runs[0])
    _check_same_cases(groups, reference)
    _check_same_truth(groups, reference)


def _check_same_setup(run: Run, other: Run) -> None:
    for what, mine, theirs in (
        ("task", run.cases.spec.kind, other.cases.spec.kind),
        ("classes", _listed(run.cases.classes), _listed(other.cases.classes)),
        ("metric policy", run.get("policy"), other.get("policy")),
    ):
        if mine != theirs:
            raise ConfigError(
                f"{run.path} and {other.path} cannot be compared: {what} "
                f"{_quoted(mine)} here, {_quoted(theirs)} there"
                + ("; score both again with medlight evaluate run=..." if "policy" in what else "")
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted(names))


def _quoted(value: str | None) -> str:
    return "not stated" if value is None else repr(value)


def _check_same_cases(groups: Sequence[Group], reference: Group) -> None:
    wanted = set(reference.cases)
    for group in groups:
        mine = set(group.cases)
        if mine == wanted:
            continue
        example = sorted(mine ^ wanted)[0]
        raise ConfigError(
            f"{group.name} and {reference.name} cannot be compared: tested on {len(mine)} cases "
            f"(folds {_folds(group)}) and {len(wanted)} (folds {_folds(reference)}), "
            f"{len(mine & wanted)} of them the same; {example!r} is in one only. "
            f"Test both on the same folds, or name the folds both have with --fold"
        )


def _folds(group: Group) -> str:
    return ", ".join(sorted({run.fold for run in group.runs}))


def _check_same_truth(groups: Sequence[Group], reference: Group) -> None:
    place = {case: i for i, case in enumerate(reference.cases)}
    names = reference.first_cases.classes
    truth = np.full((len(place), *reference.first_cases.truth.shape[1:]), np.nan)
    patients = np.empty(len(place), dtype=object)
    for run in reference.runs:
        at = [place[case] for case in run.cases.ids]
        truth[at], patients[at] = _in_order(run, names), run.cases.patients
    for run in (run for group in groups for run in group.runs):
        at = [place[case] for case in run.cases.ids]
        mine, theirs = _in_order(run, names), truth[at]
        other = (mine != theirs) & ~np.isnan(mine) & ~np.isnan(theirs)
        moved = patients[at] != np.array(run.cases.patients, dtype=object)
        for what, wrong in (("labels", other.reshape(len(at), -1).any(axis=1)), ("patient", moved)):
            if wrong.any():
                case = run.cases.ids[int(np.argmax(wrong))]
                raise ConfigError(
                    f"{run.path} and {reference.runs[0].path} cannot be compared: the {what} of "
                    f"case {case!r} differ{'s' * (what == 'patient')}, so they were tested on two "
                    f"versions of the data"
                )


def _in_order(run: Run, names: Sequence[str]) -> np.ndarray:
    """The (N, K) truth of a run, its classes ordered as `names`."""
    truth = run.cases.truth
    if not names or truth.shape[1] != len(names):
        return truth
    return truth[:, [run.cases.classes.index(name) for name in names]]
