"""cases.csv, read: one line a case, or a case and class, whichever task wrote it."""

import csv
import gzip
import io
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.core.case_result import Row
from medlight.core.errors import DataError, reading
from medlight.io.csv_cells import bare_cell

TEXT_COLUMNS = frozenset({"case", "patient", "fold", "stage", "class", "truth", "prediction"})
"""Columns that hold text; all others hold numbers."""

MAX_UNPACKED_RATIO = 100
"""What a packed table may hold, in sizes of itself."""
_SPARE_BYTES = 2**24  # a small table may hold so much, however tight it is packed
_MAX_DIGITS = 18  # of a whole number; longer ones are floating point


@dataclass(frozen=True, slots=True)
class CaseTable:
    """A table of cases.

    Attributes:
        path: the file it was read from.
        columns: name to the N texts of the column, in the order of the lines.
    """

    path: Path
    columns: Mapping[str, list[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def of_stage(self, stage: str) -> "CaseTable":
        """Keep the lines of one stage, such as "test"; a table without stages has none."""
        kept = [each == stage for each in self.columns.get("stage", [""] * len(self))]
        chosen = {
            name: [value for value, keep in zip(column, kept, strict=True) if keep]
            for name, column in self.columns.items()
        }
        return CaseTable(self.path, chosen)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Give a column as (N,) numbers; nan for an empty text.

        Raises:
            DataError: a text is no number.
        """
        return np.array([float(value) for value in self._parsed(name)])

    def rows(self, text_columns: Collection[str] = TEXT_COLUMNS) -> list[Row]:
        """Give the lines as mappings; whole numbers as int, other numbers as float.

        Raises:
            DataError: a column of numbers holds other text.
        """
        names = list(self.columns)
        columns = [self.columns[n] if n in text_columns else self._parsed(n) for n in names]
        return [dict(zip(names, line, strict=True)) for line in zip(*columns, strict=True)]

    def _parsed(self, name: str) -> list[float | int]:
        try:
            return [_parse_number(text) for text in self.columns[name]]
        except ValueError as error:
            raise DataError(f"{self.path}: column {name} is not of numbers ({error})") from error


def read_case_table(path: Path) -> CaseTable:
    """Read cases.csv, plain or compressed.

    Raises:
        DataError: the file cannot be read, was cut short, or holds no case.
    """
    with reading(path, "take the file from a copy of the run, or test it again"):
        table = csv.reader(io.StringIO(_text(path), newline=""))
        head, *lines = [list(map(bare_cell, line)) for line in table] or [[]]
    short = next((n for n, line in enumerate(lines, 2) if len(line) != len(head)), None)
    if short is not None:
        raise DataError(
            f"{path}: line {short} has {len(lines[short - 2])} columns instead of {len(head)}; "
            f"it was not written to the end"
        )
    if twice := sorted({name for name in head if head.count(name) > 1}):
        raise DataError(f"{path}: two columns are called {twice[0]!r}; keep one of them")
    if missing := sorted({"case", "patient"} - set(head)):
        raise DataError(f"{path}: no column {', '.join(missing)}; another version wrote it")
    if not lines:
        raise DataError(f"{path}: no case in it")
    return CaseTable(path, dict(zip(head, map(list, zip(*lines, strict=True)), strict=True)))


def _text(path: Path) -> str:
    if path.suffix != ".gz":
        return path.read_bytes().decode("utf-8")  # a name may hold a bare carriage return
    most = MAX_UNPACKED_RATIO * path.stat().st_size + _SPARE_BYTES
    with gzip.open(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it unpacks to more than {MAX_UNPACKED_RATIO} times its own size")
    return content.decode("utf-8")


def _parse_number(text: str) -> float | int:
    if text == "":
        return math.nan
    whole = len(text) < _MAX_DIGITS and text.lstrip("-").isdigit()
    return int(text) if whole else float(text)
