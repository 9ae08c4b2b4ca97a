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
from medlight.io.store.entry import DamagedError, Head, Prepared, read_head, write_entry
from medlight.io.store.held import Held, held_bytes
from medlight.io.store.ledger import Ledger, digest
from medlight.io.store.making import Making
from medlight.io.store.pixels import check_settings, encode_image, encode_mask
from medlight.io.store.room import SUFFIX, Room, told_when_full
from medlight.io.store.survey import survey
from medlight.io.store.table import Stored

log = logging.getLogger(__name__)

STORE_VERSION = 2
"""Raised by hand when what `medlight.io` or `medlight.transforms` make of the same file changes;
tests hold golden hashes of it."""
_TOLD = 5  # broken cases named in one message

Build = Callable[[Case], Prepared]


@dataclass(kw_only=True, eq=False)
class Store:
    """A folder of prepared cases.

    Attributes:
        folder: where it lies; any number of data sets, runs and processes may share it.
        codec: "none" is mapped as it is, the fastest; "blosc2" takes about the room of .nii.gz.
        dtype: of images that are not whole numbers: "int16" with a scale of their own, or
            "float16".
        max_gb: what the folder may take; cases of other keys, used longest ago, leave first.
        memory_gb: data sets up to this size, in all, are held in memory.
        workers: cases prepared at the same time; None: one for each CPU, eight at most.
    """

    folder: str | Path = "~/.cache/medlight/store"
    codec: Any = "none"
    dtype: Any = "int16"
    max_gb: float = 200.0
    memory_gb: float = 4.0
    workers: int | None = None

    _left: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_settings(self.codec, self.dtype)
        self.folder = Path(self.folder).expanduser()
        self._room = Room(self.folder, self.max_gb)
        self._left = self.memory_gb * 2**30

    def __getstate__(self) -> dict[str, Any]:
        """A copy in another process counts for itself."""
        return {key: value for key, value in vars(self).items() if key != "_room"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._room = Room(Path(self.folder), self.max_gb)

    def open(
        self,
        cases: Sequence[Case],
        *,
        name: str,
        recipe: Mapping[str, Any],
        build: Build,
        check: bool = False,
    ) -> Stored:
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
        ledger = Ledger(Path(self.folder) / "sets" / f"{name}.json")
        workers = self.workers or min(os.cpu_count() or 1, 8)
        with told_when_full(Path(self.folder)):
            found = survey(
                cases, ledger, whole, partial(self._path, whole), check=check, workers=workers
            )
            self._room.kept.update(path.name for path in found.paths)
            if found.todo:
                ledger.save()
                told = ", ".join(f"{n} {why}" for why, n in found.reasons.most_common(_TOLD))
                log.info(
                    "%s: preparing %d of %d cases (%s)", name, len(found.todo), len(cases), told
                )
                make = partial(self._made, name=name, build=build)
                making = Making(Path(self.folder), make, name=name)
                making.run(found.todo, workers=workers)
                found.heads |= making.made
                found.errors += making.errors
        with suppress(OSError):  # a folder that only others may write serves, too
            ledger.save()
        _raise_for(found.errors, len(cases))
        ids = [case.id for case in cases]
        return Stored(ids, found.paths, [found.heads[case] for case in ids])

    def hold(self, stored: Stored, least: Sequence[int] | None = None) -> Held | None:
        """The voxels in memory, where `memory_gb` leaves room for them; see `Held`."""
        size = held_bytes(stored, least) if len(stored) else 0
        if not size or size > self._left:
            return None
        self._left -= size
        return Held(stored, least=least)

    def forget(self, name: str, cases: Collection[str]) -> int:
        """Remove all that was ever made of these cases of a data set; how many files that was.

        For a patient's right to be removed: the store of every codec and recipe is searched, once
        for each case.
        """
        ledger = Ledger(Path(self.folder) / "sets" / f"{name}.json")
        if ledger.dropped(cases) or not Path(self.folder).is_dir():
            return 0
        gone = 0
        with told_when_full(Path(self.folder)):
            for path in Path(self.folder).glob(f"[0-9a-f][0-9a-f]/[!.]*{SUFFIX}"):
                with suppress(FileNotFoundError, DamagedError):
                    about = read_head(path).about
                    if about["set"] == name and about["case"] in cases:
                        path.unlink()
                        gone += 1
            ledger.drop(cases)
        return gone

    def _path(self, recipe: Mapping[str, Any], hashes: Mapping[str, str]) -> Path:
        key = digest({"files": hashes, "recipe": recipe})[:32]
        return Path(self.folder) / key[:2] / f"{key}{SUFFIX}"

    def _made(self, case: Case, path: Path, *, name: str, build: Build) -> Head:
        try:
            return read_head(path)  # by another process, meanwhile
        except (FileNotFoundError, DamagedError):
            pass
        prepared = build(case)
        try:
            coded = encode_image(prepared.image, self.dtype, align=self.codec == "blosc2")
            mask = None if prepared.mask is None else encode_mask(prepared.mask)
        except ValueError as error:
            raise DataError(f"case {case.id!r}: {error}; mend it, or leave it out") from error
        size = coded.values.nbytes + (0 if mask is None else mask.nbytes)
        self._room.make(size)
        write_entry(path, {"set": name, "case": case.id}, prepared, coded, mask, self.codec)
        self._room.settle(size, path.stat().st_size)
        return read_head(path)


def _raise_for(errors: Sequence[MedlightError], cases: int) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        first = "\n  ".join(str(error) for error in errors[:_TOLD])
        more = f"\n  and {len(errors) - _TOLD} more" if len(errors) > _TOLD else ""
        raise DataError(f"{len(errors)} of {cases} cases cannot be used:\n  {first}{more}")
