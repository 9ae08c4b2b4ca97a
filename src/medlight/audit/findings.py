"""What an audit says."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
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
    def surplus(self) -> tuple[str, ...]:
        """What to leave out to be rid of it: all but the first of each group, else all cases."""
        if not self.groups:
            return self.cases
        return tuple(dict.fromkeys(case for group in self.groups for case in group[1:]))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first; kinds together, in the order in which they were found."""
    found = list(findings)
    kinds = {kind: place for place, kind in enumerate(dict.fromkeys(f.kind for f in found))}
    return sorted(found, key=lambda f: (LEVELS.index(f.level), kinds[f.kind]))


def counted(findings: Iterable[Finding]) -> dict[Level, int]:
    found = Counter(finding.level for finding in findings)
    return {level: found[level] for level in LEVELS}


def some(cases: Sequence[str], shown: int = SHOWN) -> str:
    """The first few names, and how many more there are.

    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    rest = len(cases) - shown
    return ", ".join(cases[:shown]) + (f" and {rest} more" if rest > 0 else "")


def list_name(kind: str) -> str:
    """Name of the list of what to leave out for a kind of finding, below a check's directory."""
    return f"cases/{kind.replace(' ', '_')}.txt"


def leave_out(cases: Sequence[str], kind: str) -> str:
    """The override that trains without these cases: typed, or as a list where they are many."""
    if len(cases) > SHOWN:
        return f"leave them out by data.exclude=<the check's directory>/{list_name(kind)}"
    return f"leave out by data.exclude=[{','.join(cases)}]"
