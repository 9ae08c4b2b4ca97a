"""What each part of a recipe is worth: the recipe as it stands, and with one change at a time."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Override

from medlight.core.errors import ConfigError
from medlight.sweep.grid import GridSweep

UNCHANGED = "none"


@dataclass(kw_only=True)
class AblationSweep(GridSweep):
    """Runs every change alone, and none, each over the whole grid of the rest, mostly seeds.

    Args:
        changes: overrides as on the command line, several in one where they belong together.
        name, params, max_failures, on_oom, compare: those of GridSweep.
    """

    changes: Sequence[str]

    def combinations(self, overrides: Sequence[Override]) -> list[list[str]]:
        rest = super().combinations(overrides)
        firsts = [[], *(shlex.split(change) for change in self.changes)]
        return [[*first, *each] for first in firsts for each in rest]

    def display_overrides(self, job_overrides: list[str]) -> list[str]:
        for change in self.changes:
            first = shlex.split(change)
            if job_overrides[: len(first)] == first:
                return [f"change={change}", *job_overrides[len(first) :]]
        return [f"change={UNCHANGED}", *job_overrides]

    def check(self, job_overrides: list[str], duplicate: list[str] | None) -> None:
        if duplicate is not None:
            mine, other = (
                self.display_overrides(each)[0].partition("=")[2]
                for each in (job_overrides, duplicate)
            )
            same = "the recipe as it stands" if other == UNCHANGED else other
            raise ConfigError(f"sweep.changes: {mine} is {same}: leave it out of the list")
