"""Which of the cases of a data set may be used: exclusions by choice, withdrawals by right."""

import difflib
import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path

from medlight.core.errors import ConfigError, reading
from medlight.core.index import Index
from medlight.data.patients import fold_name

WITHDRAWN_FILE = "withdrawn.txt"
MAX_FOR_SUGGESTIONS = 20_000


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Ids of cases that no run sees: by `data.exclude`, and of patients who withdrew; and what is
    to be said of lines of withdrawal lists that name nobody."""

    excluded: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()

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
        ConfigError: no case has a name or pattern of `exclude`; a line of a list is no name.
    """
    pairs = list(zip(index.ids, index.patients, strict=True))
    patients, unmatched = withdrawn_patients(pairs, lists)
    withdrawn = tuple(case for case, patient in pairs if patient in patients)
    gone = set(withdrawn)
    excluded = tuple(c for c in _excluded(index, exclude) if c not in gone)
    return Exclusions(excluded, withdrawn, unmatched)


def withdrawn_patients(
    pairs: Sequence[tuple[str, str]], lists: Iterable[Path]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Find the patients whom the lists name, whose files and copies must go.

    A list holds a patient, or the id of one of its cases, a line; `#` starts a comment.

    Args:
        pairs: (case, patient).
        lists: withdrawal lists.

    Returns:
        The patients; and for each list with lines that name nobody, how many, without their names:
        their files are gone already, or they are misspelt.

    Raises:
        ConfigError: a line is no name, but is made of one, or begins ids.
    """
    lines = {path: found for path in lists if (found := _lines(path))}
    if not lines:
        return frozenset(), ()
    named: dict[str, set[str]] = {}
    for case, patient in pairs:
        for name in (case, patient):
            named.setdefault(fold_name(name), set()).add(patient)
    stems = {name[: mark.start()] for name in named for mark in re.finditer(r"[\W_]", name)}
    gone: set[str] = set()
    unmatched = []
    for path, found in lines.items():
        unknown = {number: name for number, name in found if fold_name(name) not in named}
        for number, name in unknown.items():
            if why := _almost_a_name(fold_name(name), named.keys(), stems):
                raise ConfigError(
                    f"{path}: line {number} {why}, and withdraws nobody; write one case or patient "
                    f"a line, without file ending, and say whose image a case is by data.patient="
                )
        gone.update(*(named[fold_name(name)] for number, name in found if number not in unknown))
        if unknown:
            unmatched.append(
                f"{path.name}: {len(unknown)} of {len(found)} lines name no case and no patient "
                f"here (line {', '.join(map(str, list(unknown)[:3]))}"
                f"{' ...' * (len(unknown) > 3)}); images of theirs under other names are used"
            )
    return frozenset(gone), tuple(unmatched)


def _almost_a_name(line: str, named: Set[str], stems: Set[str]) -> str:
    """What makes a line that names nobody look like a slip; empty if nothing does."""
    if line in stems:
        return "begins the ids of several cases"
    if set(line) & set("*?"):
        return "is a pattern"
    for part in re.split(r"[,;|]", line):
        words = [part.strip(" \"'"), *part.split()[:1], re.split(r"[\\\\/]", part)[-1]]
        ends = [word[: dot.start()] for word in words for dot in re.finditer(r"\.", word)]
        if not named.isdisjoint([*words, *ends]) or part.strip() in stems:
            return "holds a name and more"
    return ""


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
        exclude = [name for _, name in _lines(path)]
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


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines that hold more than a comment, with their numbers."""
    with reading(path, "save it as UTF-8 text, one id a line"):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    names = (line.partition("#")[0].strip() for line in lines)
    return [(number, name) for number, name in enumerate(names, 1) if name]
