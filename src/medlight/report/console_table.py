"""Tables for the console that fit its width without breaking a word."""

import re
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import JustifyMethod
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
MIN_TEXT_WIDTH = 10
"""Characters that a column of text keeps, however narrow the screen."""
_PIECES = re.compile(r"[^\s/._=,-]*[\s/._=,-]*")


def shorten(text: str, width: int) -> str:
    """Replace the middle of a text that is too long: its ends tell it apart.

    >>> shorten("seg_unet3d_quick, lr=0.001", 15)
    'seg_une…r=0.001'
    """
    if len(text) <= width:
        return text
    head = width // 2
    return text[:head] + ELLIPSIS + text[len(text) - (width - 1 - head) :]


def fold(text: str, width: int) -> str:
    """Break a text into lines after spaces and separators; shorten a longer word.

    >>> fold("augment.intensity.blur.probability", 20)
    'augment.intensity.\\nblur.probability'
    """
    lines = [""]
    for piece in _PIECES.findall(text):
        if lines[-1] and len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece if len(piece.rstrip()) <= width else shorten(piece, width)
    return "\n".join(line.rstrip() for line in lines)


def console_table(
    title: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    width: int,
    text_columns: Sequence[int] = (0,),
    styles: Sequence[StyleType] = (),
    sections: Sequence[int] = (),
    caption: str = "",
    one_line: bool = False,
) -> Table:
    """Make a table whose text folds at separators and whose numbers stay whole.

    Args:
        title: above the table; none if empty.
        head: names of the columns, which wrap between words.
        rows: cells, as many as there are columns; what would be markup is shown as it is.
        width: characters of the console.
        text_columns: which columns hold text: on the left, and folded if room is short.
        styles: one for each row.
        sections: rows after which a gap follows.
        caption: below the table.
        one_line: shorten text in the middle instead of folding it.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    columns = range(len(head))
    whole = [max([0, *(_length(row[i].plain) for row in cells)]) for i in columns]
    narrow = [max(len(piece.rstrip()) for piece in _PIECES.findall(name)) for name in head]
    gap = 1 if sum(map(max, whole, narrow)) + 2 * len(head) + 1 <= width else 0
    room = width - (2 if gap else 1) * len(head) - 1
    widths = [max(whole[i], narrow[i]) for i in columns]
    folded = sorted(text_columns, key=lambda i: widths[i])
    room -= sum(widths[i] for i in columns if i not in text_columns)
    for number, i in enumerate(folded):  # the short ones first: they leave room to the others
        share = room // (len(folded) - number)
        widths[i] = min(widths[i], max(share, min(narrow[i], MIN_TEXT_WIDTH)))
        room -= widths[i]
    for i in columns:  # heads stay on one line if there is room left
        wanted = max(map(len, head[i].split("\n"))) - widths[i]
        if 0 < wanted <= room:
            widths[i], room = widths[i] + wanted, room - wanted
    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        caption=caption or None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, gap, 0, 0),
    )
    for i, name in enumerate(head):
        justify: JustifyMethod = "left" if i in text_columns else "right"
        table.add_column(Text(fold(name, widths[i])), justify=justify, width=widths[i])
    fit = shorten if one_line else fold
    for number, row in enumerate(cells):
        shown = [
            Text(fit(cell.plain, widths[i]), cell.style) if i in text_columns else cell
            for i, cell in enumerate(row)
        ]
        table.add_row(
            *shown, style=styles[number] if styles else None, end_section=number in sections
        )
    return table


def _text(cell: str | Text) -> Text:
    return Text(cell) if isinstance(cell, str) else cell


def _length(text: str) -> int:
    return max(map(len, text.split("\n")))
