"""What folders say: visible entries, case ids, and which items belong together."""

import os
import re
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path


def folders(folder: Path) -> list[str]:
    """Names of the visible folders in `folder`, sorted; none where it does not exist."""
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Names of the visible files in `folder` with one of the suffixes in any case, unsorted.

    macOS's `._*` companions are not visible.
    """
    return (
        entry.name
        for entry in _entries(folder)
        if entry.name.lower().endswith(suffixes) and entry.is_file()
    )


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    if folder.is_dir():
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))


def case_id(text: str) -> str:
    """Text with whatever a case id may not hold replaced by "_".

    >>> case_id("benign/benign (1)")
    'benign/benign__1_'
    """
    return re.sub(r"[^A-Za-z0-9._/-]", "_", text)


def group_ids(units: Sequence[str], marks: Sequence[Hashable]) -> list[str]:
    """For each item the name of its group: items that share a unit or a mark are in one.

    A group is called after the first, in order, of its units.

    >>> group_ids(["a", "b", "c", "d"], [1, 2, 1, 3])
    ['a', 'b', 'a', 'd']
    """
    leader = {unit: unit for unit in units}

    def find(unit: str) -> str:
        while leader[unit] != unit:
            leader[unit] = leader[leader[unit]]
            unit = leader[unit]
        return unit

    first: dict[Hashable, str] = {}
    for unit, mark in zip(units, marks, strict=True):
        one, other = sorted((find(first.setdefault(mark, unit)), find(unit)))
        leader[other] = one
    return [find(unit) for unit in units]
