"""How files of the run directory are written and named."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from medlight.io.atomic import atomic_path
from medlight.io.csv_cells import guard_cell, rows_text


def write_text(path: Path, text: str) -> None:
    """Whole or not at all: whoever reads meanwhile, or after a crash, finds a whole file."""
    write_texts({path: text})


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write files that belong together: each whole, and none if one of them cannot be written."""
    with ExitStack() as stack:
        for path, text in texts.items():
            part = stack.enter_context(atomic_path(path))
            part.write_text(text, encoding="utf-8")


def file_stem(case: str) -> str:
    """A case id as part of a file name.

    >>> file_stem("Hand/000123")
    'Hand__000123'
    """
    return case.replace("/", "__")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Give a table as the text of a csv file; see `io.csv_cells` for names that look like formulas.

    >>> csv_text(["case", "dice"], [["a", 0.5]])
    'case,dice\\na,0.5\\n'
    """
    return rows_text([guard_cell(each) for each in row] for row in [columns, *rows])
