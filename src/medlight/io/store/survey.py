"""What of the cases is in a store already, and why the rest is not."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from medlight.core.case import Case
from medlight.core.errors import MedlightError
from medlight.io.store.entry import DamagedError, Head, read_head, verify
from medlight.io.store.ledger import Ledger
from medlight.io.store.making import quiet

log = logging.getLogger(__name__)

_MANY = 5000  # cases looked at without a progress bar
_AT_ONCE = 64  # cases a thread takes: looking at one takes less time than handing it over


@dataclass(slots=True)
class Survey:
    """Attributes:
    paths: of every case but those in `errors`, there or not.
    heads: case id to what is stored.
    todo: cases to make, and where.
    reasons: how many of them are missing why.
    errors: of cases whose source cannot be read.
    """

    paths: list[Path] = field(default_factory=list)
    heads: dict[str, Head] = field(default_factory=dict)
    todo: list[tuple[Case, Path]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    errors: list[MedlightError] = field(default_factory=list)


def survey(
    cases: Sequence[Case],
    ledger: Ledger,
    recipe: Mapping[str, Any],
    place: Callable[[Mapping[str, str]], Path],
    *,
    check: bool,
    workers: int,
) -> Survey:
    """Hash what has no known hash, and open what is there. `place`: hashes to a path."""
    found = Survey()
    title, hidden = f"{ledger.path.stem}: looking for changes", quiet(len(cases), _MANY)
    with tqdm(total=len(cases), desc=title, disable=hidden) as bar:

        def look(some: Sequence[Case]) -> list[tuple[Case, Mapping[str, str] | MedlightError]]:
            seen: list[tuple[Case, Mapping[str, str] | MedlightError]] = []
            for case in some:
                try:
                    seen.append((case, ledger.hashes(case)))
                except MedlightError as error:
                    seen.append((case, error))
                bar.update()
            return seen

        parts = [cases[start : start + _AT_ONCE] for start in range(0, len(cases), _AT_ONCE)]
        with ThreadPoolExecutor(workers) as pool:
            looked = [each for part in pool.map(look, parts) for each in part]
    for case, hashes in looked:
        if isinstance(hashes, MedlightError):
            found.errors.append(hashes)
            continue
        path = place(hashes)
        found.paths.append(path)
        try:
            found.heads[case.id] = _trusted(path, check=check)
        except FileNotFoundError:
            found.reasons[ledger.reason(case, hashes, recipe)] += 1
            found.todo.append((case, path))
        except DamagedError as error:
            log.warning("%s; it is made again", error)
            found.reasons["damaged"] += 1
            path.unlink(missing_ok=True)
            found.todo.append((case, path))
        ledger.note(case, recipe)
    return found


def _trusted(path: Path, *, check: bool) -> Head:
    head = read_head(path)
    if check:
        verify(path, head)
    with suppress(OSError):  # where nothing can be written, nothing ever leaves
        os.utime(path)  # it was used
    return head
