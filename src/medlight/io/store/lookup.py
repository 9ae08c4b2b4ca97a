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
from medlight.io.store.build import hide_progress
from medlight.io.store.case_file import CaseHeader, DamagedError, read_case_header, verify_checksums
from medlight.io.store.hash_cache import HashCache

log = logging.getLogger(__name__)

_MANY = 5000  # cases looked at without a progress bar
_AT_ONCE = 64  # cases a thread takes: looking at one takes less time than handing it over


@dataclass(slots=True)
class Lookup:
    """Attributes:
    paths: of every case but those in `errors`, there or not.
    headers: case id to what is stored.
    missing: cases to make, and where.
    reasons: how many of them are missing why.
    errors: of cases whose source cannot be read.
    """

    paths: list[Path] = field(default_factory=list)
    headers: dict[str, CaseHeader] = field(default_factory=dict)
    missing: list[tuple[Case, Path]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    errors: list[MedlightError] = field(default_factory=list)


def look_up(
    cases: Sequence[Case],
    hash_cache: HashCache,
    recipe: Mapping[str, Any],
    path_of: Callable[[Mapping[str, str]], Path],
    *,
    check: bool,
    num_workers: int,
) -> Lookup:
    """Hash what has no known hash, and open what is there. `path_of`: hashes to a path."""
    lookup = Lookup()
    title, hidden = f"{hash_cache.path.stem}: looking for changes", hide_progress(len(cases), _MANY)
    with tqdm(total=len(cases), desc=title, disable=hidden) as bar:

        def look(some: Sequence[Case]) -> list[tuple[Case, Mapping[str, str] | MedlightError]]:
            seen: list[tuple[Case, Mapping[str, str] | MedlightError]] = []
            for case in some:
                try:
                    seen.append((case, hash_cache.hashes(case)))
                except MedlightError as error:
                    seen.append((case, error))
                bar.update()
            return seen

        parts = [cases[start : start + _AT_ONCE] for start in range(0, len(cases), _AT_ONCE)]
        with ThreadPoolExecutor(num_workers) as pool:
            looked = [each for part in pool.map(look, parts) for each in part]
    for case, hashes in looked:
        if isinstance(hashes, MedlightError):
            lookup.errors.append(hashes)
            continue
        path = path_of(hashes)
        lookup.paths.append(path)
        try:
            lookup.headers[case.id] = _checked_header(path, check=check)
        except FileNotFoundError:
            lookup.reasons[hash_cache.reason(case, hashes, recipe)] += 1
            lookup.missing.append((case, path))
        except DamagedError as error:
            log.warning("%s; it is made again", error)
            lookup.reasons["damaged"] += 1
            path.unlink(missing_ok=True)
            lookup.missing.append((case, path))
        hash_cache.record(case, recipe)
    return lookup


def _checked_header(path: Path, *, check: bool) -> CaseHeader:
    header = read_case_header(path)
    if check:
        verify_checksums(path, header)
    with suppress(OSError):  # where nothing can be written, nothing ever leaves
        os.utime(path)  # it was used
    return header
