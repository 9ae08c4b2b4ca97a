"""Which of the cases of a data set may be used: exclusions by choice, withdrawals by right."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path

from medlight.core.errors import ConfigError, reading
from medlight.core.index import Index

WITHDRAWN_FILE = "withdrawn.txt"
MAX_FOR_SUGGESTIONS = 20_000


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Ids of cases that no run sees: by `data.exclude`, and of patients who withdrew."""

    excluded: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()

    @property
    def cases(self) -> frozenset[str]:
        return frozenset(self.excluded + self.withdrawn)

    def summary(self) -> str:
        """One line. Those who withdrew are counted, not named."""
        parts = []
        if self.excluded:
            parts.append(f"data.exclude: {len(self.excluded)} ({', '.join(self.excluded)})")
        if self.withdrawn:
            parts.append(f"withdrawn: {len(self.withdrawn)}")
        return "Left out: " + "; ".join(parts)


def find_exclusions(
    index: Index, exclude: str | Path | Sequence[str] | None, lists: Iterable[Path]
) -> Exclusions:
    """Find what `exclude` and the withdrawal lists take from an index.

    Args:
        index: the cases.
        exclude: ids or patterns, or the path of a list of them.
        lists: withdrawal lists.

    Raises:
        ConfigError: no case has a name or pattern of `exclude`.
    """
    withdrawn = withdrawn_cases(index, lists)
    gone = set(withdrawn)
    return Exclusions(tuple(c for c in _excluded(index, exclude) if c not in gone), withdrawn)


def withdrawn_cases(index: Index, lists: Iterable[Path]) -> tuple[str, ...]:
    """Find all cases of the patients that the lists name, whose files and copies must go.

    A list holds a patient, or the id of one of its cases, a line; `#` starts a comment. Names the
    index does not know are passed over: their files are gone already, or they are of another data
    set.

    Args:
        index: the cases.
        lists: withdrawal lists.

    Returns:
        Ids of cases.
    """
    pairs = list(zip(index.ids, index.patients, strict=True))
    patients = withdrawn_patients(pairs, lists)
    return tuple(case for case, patient in pairs if patient in patients) if patients else ()


def withdrawn_patients(pairs: Iterable[tuple[str, str]], lists: Iterable[Path]) -> frozenset[str]:
    """Find the patients whom the lists name, by themselves or by a case.

    Args:
        pairs: (case, patient).
        lists: withdrawal lists.
    """
    names = {name for path in lists for name in _lines(path)}
    if not names:
        return frozenset()
    return frozenset(patient for case, patient in pairs if case in names or patient in names)


def withdrawal_lists(index: Index, root: Path, given: str | Path | None) -> list[Path]:
    """Find the lists that hold: the one given, and every `withdrawn.txt` beside the data.

    Args:
        index: whose sources' folders are looked in.
        root: of the data set; beside it, if it is an archive.
        given: path of a further list, or None.

    Raises:
        ConfigError: the given one is not there.
    """
    places = [root if root.is_dir() else root.parent, *(source.root for source in index.sources)]
    lists = existing_withdrawal_lists(places)
    if given is not None:
        path = Path(given).expanduser()
        if not path.is_file():
            raise ConfigError(f"data.withdrawn={given}: there is no such file")
        lists.append(path)
    return lists


def existing_withdrawal_lists(places: Iterable[Path]) -> list[Path]:
    """The withdrawal lists that lie in these folders."""
    found = [place / WITHDRAWN_FILE for place in dict.fromkeys(places)]
    return [path for path in found if path.is_file()]


def _excluded(index: Index, exclude: str | Path | Sequence[str] | None) -> list[str]:
    """ConfigError for a name that no case has: a misspelt exclusion would train on it."""
    if isinstance(exclude, str | Path):
        path = Path(exclude).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"data.exclude={exclude}: there is no such file; type data.exclude=[{exclude}] for "
                f"one case, or the path of a list of ids, one a line"
            )
        exclude = _lines(path)
    known = set(index.ids)
    found: dict[str, None] = {}
    for name in exclude or ():
        if not isinstance(name, str):  # 1_2 is the number 12 in YAML, and that another case
            raise ConfigError(
                f"data.exclude holds the {type(name).__name__} {name}, but ids are words; put them "
                f"in quotes, as in exclude: ['1_2']"
            )
        if name in known:
            found[name] = None
        elif set(name) & set("*?["):
            match = re.compile(translate(name)).match
            hits = [case for case in index.ids if match(case)]
            if not hits:
                raise ConfigError(f"data.exclude: no case of {index.name} fits {name!r}")
            found.update(dict.fromkeys(hits))
        else:
            near = (
                difflib.get_close_matches(name, index.ids, 3)
                if len(index) < MAX_FOR_SUGGESTIONS
                else []
            )
            hint = f"; did you mean {', '.join(near)}?" if near else f", as {index.ids[0]!r} is"
            raise ConfigError(f"data.exclude: {index.name} has no case {name!r}{hint}")
    return list(found)


def _lines(path: Path) -> list[str]:
    with reading(path, "save it as UTF-8 text, one id a line"):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [name for line in lines if (name := line.partition("#")[0].strip())]
