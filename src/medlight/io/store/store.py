"""Cases prepared once, kept in a folder, and opened as one table.

    <folder>/<2 digits>/<key>.case    one case; the key says what it was made from
    <folder>/sets/<data set>.json     hashes of source files, to say which key changed
    <folder>/locks/<2 digits>.lock    one process prepares the cases of these two digits

Cases are independent: what is missing is made, in any order, by any number of processes and
threads; a case that is there is never made again.
"""

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from medlight.core.case import Case
from medlight.core.errors import DataError, MedlightError
from medlight.io.store.build import CASE_SUFFIX, Quota, StoreBuild, explain_disk_errors
from medlight.io.store.case_file import (
    CaseHeader,
    DamagedError,
    PreparedCase,
    read_case_header,
    write_case_file,
)
from medlight.io.store.codec import check_settings, encode_image, encode_mask
from medlight.io.store.hash_cache import HashCache, json_digest, look_up
from medlight.io.store.stored_cases import InMemoryCases, StoredCases, memory_bytes

log = logging.getLogger(__name__)

STORE_VERSION = 4
"""Raised by hand when what `medlight.io` or `medlight.transforms` make of the same file changes;
tests hold golden hashes of it."""
_MAX_LISTED = 5  # broken cases named in one message

BuildCase = Callable[[Case], PreparedCase]


@dataclass(kw_only=True, eq=False)
class Store:
    """A folder of prepared cases.

    Attributes:
        folder: where it lies; any number of data sets, runs and processes may share it.
        codec: "none" is mapped as it is, the fastest; "blosc2" takes about the room of .nii.gz.
        dtype: of images that are not whole numbers: "int16" with a scale of their own, or
            "float16", or "float32", which is exact.
        max_gb: what the folder may take; cases of other keys, used longest ago, leave first.
        memory_gb: data sets up to this size, in all, are held in memory.
        num_workers: cases prepared at the same time; None: one for each CPU, eight at most.
    """

    folder: str | Path = "~/.cache/medlight/store"
    codec: Any = "none"
    dtype: Any = "int16"
    max_gb: float = 200.0
    memory_gb: float = 4.0
    num_workers: int | None = None

    _memory_left: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_settings(self.codec, self.dtype)
        self.folder = Path(self.folder).expanduser()
        self._quota = Quota(self.folder, self.max_gb)
        self._memory_left = self.memory_gb * 2**30

    def __getstate__(self) -> dict[str, Any]:
        """A copy in another process counts for itself."""
        return {key: value for key, value in vars(self).items() if key != "_quota"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._quota = Quota(Path(self.folder), self.max_gb)

    def open(
        self,
        cases: Sequence[Case],
        *,
        name: str,
        recipe: Mapping[str, Any],
        build: BuildCase,
        check: bool = False,
    ) -> StoredCases:
        """The cases as one table; those that are not in the store are made first.

        Args:
            name: of the data set, for messages and the ledger.
            recipe: all that decides what `build` makes of the files of a case, as plain JSON.
            build: a case to what is stored. Called in threads; MedlightError for a bad case.
            check: compare the voxels of every case with their checksum.

        DataError names the cases that cannot be made; StoreFullError where there is no room.
        """
        whole = {**recipe, "store.version": STORE_VERSION, "store.codec": self.codec}
        whole["store.dtype"] = self.dtype
        hash_cache = HashCache(Path(self.folder) / "sets" / f"{name}.json")
        num_workers = self.num_workers or min(os.cpu_count() or 1, 8)
        with explain_disk_errors(Path(self.folder)):
            lookup = look_up(
                cases,
                hash_cache,
                whole,
                partial(self._path, whole),
                check=check,
                num_workers=num_workers,
            )
            self._quota.protected.update(path.name for path in lookup.paths)
            if lookup.missing:
                hash_cache.save()
                reasons = ", ".join(
                    f"{n} {why}" for why, n in lookup.reasons.most_common(_MAX_LISTED)
                )
                log.info(
                    "%s: preparing %d of %d cases (%s)",
                    name,
                    len(lookup.missing),
                    len(cases),
                    reasons,
                )
                make = partial(self._build_case, name=name, build=build)
                store_build = StoreBuild(Path(self.folder), make, name=name)
                store_build.run(lookup.missing, num_workers=num_workers)
                lookup.headers |= store_build.built
                lookup.errors += store_build.errors
        with suppress(OSError):  # a folder that only others may write serves, too
            hash_cache.save()
        _raise_for(lookup.errors, len(cases))
        ids = [case.id for case in cases]
        return StoredCases(ids, lookup.paths, [lookup.headers[case] for case in ids])

    def load_into_memory(
        self, stored: StoredCases, min_shape: Sequence[int] | None = None
    ) -> InMemoryCases | None:
        """Hold the voxels in memory if `memory_gb` leaves room for them.

        Args:
            stored: the cases.
            min_shape: shape up to which cases are padded; None: as they are.

        Returns:
            The cases, or None if there is no room.
        """
        size = memory_bytes(stored, min_shape) if len(stored) else 0
        if not size or size > self._memory_left:
            return None
        held = InMemoryCases(stored, min_shape=min_shape)
        self._memory_left -= size
        return held

    def delete(self, name: str, cases: Collection[str]) -> int:
        """Remove all that was ever made of some cases of a data set, by any codec and recipe.

        For a patient's right to be removed; the store is searched once for each case.

        Args:
            name: of the data set.
            cases: their ids.

        Returns:
            How many files were removed.
        """
        hash_cache = HashCache(Path(self.folder) / "sets" / f"{name}.json")
        if hash_cache.is_forgotten(cases) or not Path(self.folder).is_dir():
            return 0
        gone = 0
        with explain_disk_errors(Path(self.folder)):
            for path in Path(self.folder).glob(f"[0-9a-f][0-9a-f]/[!.]*{CASE_SUFFIX}"):
                with suppress(FileNotFoundError, DamagedError):
                    metadata = read_case_header(path).metadata
                    if metadata["set"] == name and metadata["case"] in cases:
                        path.unlink()
                        gone += 1
            hash_cache.forget_cases(cases)
        return gone

    def _path(self, recipe: Mapping[str, Any], hashes: Mapping[str, str]) -> Path:
        key = json_digest({"files": hashes, "recipe": recipe})[:32]
        return Path(self.folder) / key[:2] / f"{key}{CASE_SUFFIX}"

    def _build_case(self, case: Case, path: Path, *, name: str, build: BuildCase) -> CaseHeader:
        try:
            return read_case_header(path)  # by another process, meanwhile
        except (FileNotFoundError, DamagedError):
            pass
        prepared = build(case)
        try:
            encoded = encode_image(prepared.image, self.dtype, align=self.codec == "blosc2")
            mask = None if prepared.mask is None else encode_mask(prepared.mask)
        except ValueError as error:
            raise DataError(f"case {case.id!r}: {error}; mend it, or leave it out") from error
        size = encoded.values.nbytes + (0 if mask is None else mask.nbytes)
        self._quota.reserve(size)
        write_case_file(path, {"set": name, "case": case.id}, prepared, encoded, mask, self.codec)
        self._quota.commit(size, path.stat().st_size)
        return read_case_header(path)


def _raise_for(errors: Sequence[MedlightError], cases: int) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        first = "\n  ".join(str(error) for error in errors[:_MAX_LISTED])
        more = f"\n  and {len(errors) - _MAX_LISTED} more" if len(errors) > _MAX_LISTED else ""
        raise DataError(f"{len(errors)} of {cases} cases cannot be used:\n  {first}{more}")
