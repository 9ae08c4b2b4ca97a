"""What folders say: visible entries, and case ids."""

import os
import re
import unicodedata
from collections.abc import Iterator
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
    """Text with whatever a case id may not hold replaced by "_". Letters of any script stay,
    however their accents are written.

    >>> case_id("benign/benign (1)"), case_id("M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller")
    ('benign/benign__1_', 'M\xfcller')
    """
    return re.sub(r"[^\w./-]", "_", unicodedata.normalize("NFC", text))
