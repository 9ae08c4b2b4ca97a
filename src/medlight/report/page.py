"""A page that opens anywhere, and keeps.

Text is escaped where it enters, pictures are part of the file, and the page forbids itself to load
or run anything: it may be sent by mail, and show names that somebody made up to do harm.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medlight.io.atomic import atomic_path
from medlight.report.style import LEVELS, STYLE

_HEAD = (
    "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
    "<meta http-equiv=Content-Security-Policy "
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
    "<meta name=viewport content='width=device-width, initial-scale=1'>"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """(H, W) or (H, W, 3) uint8 pixels, shown `width` CSS pixels wide, and what they show."""

    pixels: NDArray[np.uint8]
    caption: str
    width: int = 180


class Page:
    """Parts in the order in which they are added; `save` writes them as one file."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts = [f"<h1>{escape(title)}</h1>"]

    def heading(self, text: str) -> None:
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        self._parts.append(f"<p>{escape(text)}</p>")

    def command(self, text: str) -> None:
        """Something to type."""
        self._parts.append(f"<pre>{escape(text)}</pre>")

    def tiles(self, numbers: Iterable[tuple[str, int, str]]) -> None:
        """Large numbers: level ("error", "warning", "note" or ""), number, what it counts."""
        cells = "".join(
            f"<div class='tile {escape(level)}'><b>{number:,}</b>{_mark(level)}{escape(what)}</div>"
            for level, number, what in numbers
        )
        self._parts.append(f"<div class=tiles>{cells}</div>")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        top = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        self._parts.append(f"<div class=wide><table><tr>{top}</tr>{body}</table></div>")

    def callout(self, level: str, title: str, message: str, advice: str) -> None:
        """One finding: its level by colour, sign and word."""
        self._parts.append(
            f"<section class='item {escape(level)}'><h3>{_mark(level)}{escape(level)}: "
            f"{escape(title)}</h3><p>{escape(message)}</p><p class=advice>{escape(advice)}</p>"
            f"</section>"
        )

    def bars(self, values: Iterable[tuple[str, float]], unit: str = "") -> None:
        """Horizontal bars, the longest as wide as the column."""
        pairs = list(values)
        most = max((value for _, value in pairs), default=0) or 1
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td class=bar><i style='width:{100 * value / most:.1f}%'>"
            f"</i></td><td class=number>{value:,.4g} {escape(unit)}</td></tr>"
            for name, value in pairs
        )
        self._parts.append(f"<table class=bars>{rows}</table>")

    def details(self, summary: str, lines: Iterable[str]) -> None:
        """Lines behind a click."""
        inner = "\n".join(escape(line) for line in lines)
        self._parts.append(
            f"<details><summary>{escape(summary)}</summary><pre>{inner}</pre></details>"
        )

    def images(self, figures: Iterable[Figure]) -> None:
        shown = "".join(
            f"<figure style='width:{int(figure.width)}px'>"
            f"<img alt='{escape(figure.caption)}' src='{_data(figure.pixels)}'>"
            f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
            for figure in figures
        )
        self._parts.append(f"<div class=pictures>{shown}</div>")

    def html(self) -> str:
        return (
            f"{_HEAD}<title>{escape(self.title)}</title><style>{STYLE}</style></head>"
            f"<body><main>{''.join(self._parts)}</main></body></html>\n"
        )

    def save(self, path: Path) -> None:
        with atomic_path(path) as part:
            part.write_text(self.html(), encoding="utf-8", errors="replace")


def _mark(level: str) -> str:
    return f"<span class=mark aria-hidden=true>{LEVELS.get(level, '')}</span>"


def _data(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
