"""What an audit says."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong, odd or good to know.

    Attributes:
        level: "error": training must not start; "warning": it may, but somebody should look;
            "note": how the data are.
        kind: one word for what is found, the same for all findings of that kind.
        message: what, and in which file or case.
        advice: what to do or to type.
        cases: ids of all the cases it is about; of none where it is about files without a case.
        groups: those that belong together: the members of each set of copies.
        repairable: whether `fix=true` can write a better file.
    """

    level: Level
    kind: str
    message: str
    advice: str
    cases: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    repairable: bool = False

    @property
    def to_exclude(self) -> tuple[str, ...]:
        """What to leave out to be rid of it: all but the first of each group, else all cases."""
        if not self.groups:
            return self.cases
        return tuple(dict.fromkeys(case for group in self.groups for case in group[1:]))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def sort_issues(issues: Iterable[Issue]) -> list[Issue]:
    """Errors first; kinds together, in the order in which they were found."""
    found = list(issues)
    kinds = {kind: place for place, kind in enumerate(dict.fromkeys(f.kind for f in found))}
    return sorted(found, key=lambda f: (LEVELS.index(f.level), kinds[f.kind]))


def count_by_level(issues: Iterable[Issue]) -> dict[Level, int]:
    found = Counter(issue.level for issue in issues)
    return {level: found[level] for level in LEVELS}


def shorten(cases: Sequence[str], shown: int = MAX_LISTED) -> str:
    """The first few names, and how many more there are.

    >>> shorten(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    rest = len(cases) - shown
    return ", ".join(cases[:shown]) + (f" and {rest} more" if rest > 0 else "")


def exclude_list_path(kind: str) -> str:
    """Name of the list of what to leave out for a kind of finding, below a check's directory."""
    return f"cases/{kind.replace(' ', '_')}.txt"


def exclude_hint(cases: Sequence[str], kind: str) -> str:
    """The override that trains without these cases: typed, or as a list where they are many."""
    if len(cases) > MAX_LISTED:
        return f"leave them out by data.exclude=<the check's directory>/{exclude_list_path(kind)}"
    return f"leave out by data.exclude=[{','.join(cases)}]"
