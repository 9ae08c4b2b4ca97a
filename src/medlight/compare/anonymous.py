"""A comparison that may leave the house: no name of a case, a patient or a folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from medlight.compare.comparison import Comparison
from medlight.compare.groups import Group


def without_names(found: Comparison, hashed: Callable[[str], str]) -> Comparison:
    """The same numbers; cases and patients are called what `hashed` makes of their names."""
    groups = tuple(
        Group(group.name, tuple(replace(run, path=Path(run.path.name)) for run in group.runs))
        for group in found.groups
    )
    return replace(
        found,
        groups=groups,
        cases=tuple(map(hashed, found.cases)),
        patients=tuple(map(hashed, found.patients)),
        moved={
            name: [replace(each, case=hashed(each.case)) for each in moved]
            for name, moved in found.moved.items()
        },
        skipped=(),
    )
