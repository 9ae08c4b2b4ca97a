"""What is known of the files of a data set: their hashes, what was made from them last, and which
cases are in a store already.

Hashing reads every byte, so a hash is kept for as long as path, size and times of its file stay.
"""

import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from threading import Lock
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from medlight.core.case import Case
from medlight.core.errors import MALFORMED, DataError, DataNotFoundError, MedlightError
from medlight.core.file_ref import FileRef
from medlight.io.atomic import atomic_path
from medlight.io.digests import file_digest
from medlight.io.store.build import hide_progress
from medlight.io.store.case_file import CaseHeader, DamagedError, read_case_header, verify_checksums

_RACY_NS = 2_000_000_000  # a file this young may still change within the resolution of its time


def json_digest(value: Any) -> str:
    """sha256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class HashCache:
    """A small JSON file for each data set and folder. A lost one costs time only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._old = self._read()
        self._new: dict[str, dict[str, Any]] = {}
        self._recipes: dict[str, Mapping[str, Any]] = {}
        self._shared: dict[Path, list[Any]] = {}  # files that many cases are parts of
        self._sharing = Lock()

    def _read(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            cases = {case: entry for case, entry in content["cases"].items() if _is_entry(entry)}
            recipes = {mark: dict(recipe) for mark, recipe in content["recipes"].items()}
            return {
                "cases": cases,
                "recipes": recipes,
                "gone": list(map(str, content.get("gone", []))),
            }
        except MALFORMED:
            return {"cases": {}, "recipes": {}, "gone": []}

    def hashes(self, case: Case) -> dict[str, str]:
        """Hash the files of a case; a file is read only if its hash is not known.

        Args:
            case: the case.

        Returns:
            Role to sha256, in hex.

        Raises:
            DataNotFoundError: a file is not there.
            DataError: a file cannot be read.
        """
        known = self._old["cases"].get(case.id, {}).get("files", {})
        files = {role: self._hash(case, ref, known.get(role)) for role, ref in case.files.items()}
        self._new[case.id] = {"files": files}
        return {role: str(entry[-1]) for role, entry in files.items()}

    def _hash(self, case: Case, ref: FileRef, known: list[Any] | None) -> list[Any]:
        """What says that the files are as they were, and the sha256 of what is named of them."""
        if ref.whole:
            return _file_hash(case, ref.path, known)
        if ref.part:
            with self._sharing:  # one thread reads, the others wait for what it found
                mark = self._shared.get(ref.path) or _file_hash(case, ref.path, known)
                self._shared[ref.path] = mark
            return [*mark, ref.part, _joined_digest(mark[4], ref.part)]
        before = [] if known is None else [known[k : k + 5] for k in range(0, len(known), 5)]
        entries = [
            _file_hash(case, path, old)
            for path, old in zip_longest(ref.paths, before[: len(ref.paths)])
        ]
        return [*chain.from_iterable(entries), _joined_digest(*(e[-1] for e in entries))]

    def record(self, case: Case, recipe: Mapping[str, Any]) -> None:
        """Remember what the case is made with now."""
        mark = json_digest(recipe)[:12]
        self._recipes[mark] = recipe
        self._new[case.id]["recipe"] = mark

    def reason(self, case: Case, hashes: Mapping[str, str], recipe: Mapping[str, Any]) -> str:
        """Why the case is not in the store: which key changed since it was made last."""
        old = self._old["cases"].get(case.id)
        if old is None:
            return "new"
        for role, sha in hashes.items():
            entry = old.get("files", {}).get(role)
            if entry is None or entry[-1] != sha:
                return f"the {role} file changed"
        before = self._old["recipes"].get(old.get("recipe"), {})
        changes = [
            f"{key} changed from {json.dumps(before.get(key))} to {json.dumps(recipe.get(key))}"
            for key in sorted({*before, *recipe})
            if before.get(key) != recipe.get(key)
        ]
        return ", ".join(changes) or "missing"

    def save(self) -> None:
        """Add what is new to the file; what another process wrote meanwhile stays."""
        if any(self._old["cases"].get(case) != entry for case, entry in self._new.items()):
            self._write()

    def is_forgotten(self, cases: Collection[str]) -> bool:
        """Whether these were dropped, and none of them was noted since."""
        gone = set(self._old["gone"])
        return all(_case_hash(case) in gone and case not in self._old["cases"] for case in cases)

    def forget_cases(self, cases: Collection[str]) -> None:
        """Forget that these were ever there, but for a mark that cannot be read."""
        self._write(without=cases)

    def _write(self, without: Collection[str] = ()) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")):
            content = self._read()
            known = content["cases"] | self._new
            content["cases"] = {case: known[case] for case in known if case not in without}
            content["recipes"] |= self._recipes
            used = {entry.get("recipe") for entry in content["cases"].values()}
            content["recipes"] = {k: v for k, v in content["recipes"].items() if k in used}
            content["gone"] = sorted({*content["gone"], *map(_case_hash, without)})
            with atomic_path(self.path) as part:
                part.write_text(json.dumps(content), encoding="utf-8")
            self._old = content


def _is_entry(entry: Any) -> bool:
    """Whether what a ledger says of a case has the form of `_file_hash`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("recipe", ""), str):
        return False
    files = entry.get("files")
    return isinstance(files, dict) and all(
        isinstance(noted, list) and len(noted) >= 5 and isinstance(noted[-1], str)
        for noted in files.values()
    )


def _case_hash(case: str) -> str:
    return json_digest(case)[:16]


def _joined_digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _file_hash(case: Case, path: Path, known: list[Any] | None) -> list[Any]:
    """[path, size, time of change of content, and of anything, sha256]."""
    try:
        stat = path.stat()
        mark = [str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        if known and known[:4] == mark:
            return known
        if not path.is_file():
            raise DataError(f"case {case.id!r}: {path} is no file; put one there, or leave it out")
        sha = file_digest(path)
    except FileNotFoundError as error:
        raise DataNotFoundError(f"case {case.id!r}: {path}: there is no such file") from error
    except OSError as error:
        raise DataError(
            f"case {case.id!r}: {path} cannot be read ({error.strerror or error}); copy or "
            f"download it again, or leave the case out"
        ) from error
    racy = not stat.st_mtime_ns or time.time_ns() - stat.st_ctime_ns < _RACY_NS  # or unknown
    return [*([None] * 4 if racy else mark), sha]


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
    """Hash what has no known hash, and open what is there.

    Args:
        cases: what is wanted.
        hash_cache: the known hashes; the new ones are added to it.
        recipe: what the cases are made with now.
        path_of: the hashes of a case to the path of its file.
        check: compare voxels with their checksums.
        num_workers: threads.
    """
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
        verify_checksums(path, header.arrays)
    with suppress(OSError):  # where nothing can be written, nothing ever leaves
        os.utime(path)  # it was used
    return header
