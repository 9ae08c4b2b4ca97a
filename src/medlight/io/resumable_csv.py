"""Which cases are predicted: a csv that grows with them, and lets an interrupted job go on."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from medlight.io.atomic import atomic_path
from medlight.io.csv_cells import bare_cell, guard_cell, rows_text
from medlight.io.write import is_complete_file

KEY_COLUMN = "key"
LINES_COLUMN = "slices"
"""How many lines a case has, where cases differ in that."""
CsvRow = dict[str, str | int | float]


class ResumableCsv:
    """Lines of cases, each with the key of what it was made from and how.

    A line is appended when all files of its case are written. What a crash tore is dropped.

    Args:
        path: of the csv.
        columns: of the csv, the first "case"; `KEY_COLUMN` comes last.
        rows_per_case: lines of a case; one that has fewer is not done. None: as each line says in
            `LINES_COLUMN`.

    Attributes:
        all_cases: all cases that the csv held, done in whichever way.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], *, rows_per_case: int | None = 1
    ) -> None:
        self.path, self.columns = path, [*columns, KEY_COLUMN]
        self.all_cases: set[str] = set()
        found: dict[str, list[CsvRow]] = {}
        for line in self._read():
            found.setdefault(str(line["case"]), []).append(line)
        self.lines = {
            case: lines
            for case, lines in found.items()
            if str(len(lines)) == str(rows_per_case or lines[0][LINES_COLUMN])
        }

    def is_done(self, case: str, key: str, files: Sequence[Path]) -> bool:
        """Whether a case is done in just this way, and its files are still there and whole."""
        lines = self.lines.get(case)
        same = lines is not None and all(line[KEY_COLUMN] == key for line in lines)
        return same and all(is_complete_file(file) for file in files)

    def drop(self, cases: Sequence[str]) -> None:
        """Forget cases that are about to be made again, and begin to write."""
        for case in cases:
            self.lines.pop(case, None)
        self._rewrite()

    def add(self, case: str, key: str, lines: Sequence[CsvRow]) -> None:
        self.lines[case] = [{**line, KEY_COLUMN: key} for line in lines]
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._text(self.lines[case]))

    def finish(self) -> None:
        """Put the lines in the order of their cases."""
        self.lines = dict(sorted(self.lines.items()))
        self._rewrite()

    def _read(self) -> list[CsvRow]:
        if not self.path.is_file():
            return []
        text = self.path.read_bytes().decode("utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = [list(map(bare_cell, row)) for row in csv.reader(io.StringIO(whole, newline=""))]
        self.all_cases = {row[0] for row in rows[1:] if row}
        if not rows or rows[0] != self.columns:
            return []  # of another question: all is predicted again
        return [dict(zip(self.columns, row, strict=True)) for row in rows[1:]
                if len(row) == len(self.columns)]  # fmt: skip

    def _rewrite(self) -> None:
        head = ",".join(self.columns) + "\n"
        lines = [line for some in self.lines.values() for line in some]
        with atomic_path(self.path) as part:
            part.write_text(head + self._text(lines), encoding="utf-8")

    def _text(self, lines: Sequence[CsvRow]) -> str:
        return rows_text([guard_cell(line.get(key, "")) for key in self.columns] for line in lines)
