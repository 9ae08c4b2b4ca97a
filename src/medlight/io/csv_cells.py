"""Names as cells of a table that nobody's spreadsheet takes for a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def guard_cell(value: object) -> object:
    """Put an apostrophe before a text that a spreadsheet would run; numbers stay.

    >>> guard_cell("=1+1"), guard_cell("-0.5"), guard_cell(-0.5), guard_cell("liver")
    ("'=1+1", '-0.5', -0.5, 'liver')
    """
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def bare_cell(text: str) -> str:
    """Give the text that `guard_cell` was given.

    >>> [bare_cell(str(guard_cell(text))) for text in ("=a", "'=a", "'a", "-1")]
    ['=a', "'=a", "'a", '-1']
    """
    return text[1:] if _GUARDED.match(text) else text


def rows_text(rows: Iterable[Sequence[object]]) -> str:
    """Give rows as the text of a csv file. Before Python 3.13 its writer leaves a bare carriage
    return unquoted, which readers take for the end of the line.

    >>> rows_text([["a", 1], ["b\\r", 2]])
    'a,1\\n"b\\r","2"\\n'
    """
    text = io.StringIO()
    plain, quoted = (
        csv.writer(text, lineterminator="\n", quoting=quoting)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    for row in rows:
        returns = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (quoted if returns else plain).writerow(row)
    return text.getvalue()
