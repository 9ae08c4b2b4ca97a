"""A page that opens anywhere, and keeps.

Text is escaped where it enters, pictures are part of the file, and the page forbids itself to load
or run anything: it may be sent by mail, and show names that somebody made up to do harm.
"""

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

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


_SEPARATOR = re.compile(r"(?<=[^\W\d][/._=,-])(?=\w)")
"""Where a long name may be folded; numbers stay whole."""


class ScriptedPage(Page):
    """A `Page` whose tables sort and whose blocks scripts may fill, offline."""

    def __init__(self, title: str, *, style: str = "") -> None:
        super().__init__(title)
        self._style = STYLE + style
        self._scripts: list[str] = []

    def script(self, code: str) -> None:
        """Code that runs at the end of the page, in the order in which it was added."""
        self._scripts.append(code.replace("</script", r"<\/script"))

    def data(self, name: str, value: Any) -> None:
        """JSON that scripts find as the text of the element called `name`."""
        text = json.dumps(value, ensure_ascii=True, allow_nan=False).replace("<", r"\u003c")
        self._parts.append(f"<script type=application/json id='{escape(name)}'>{text}</script>")

    def placeholder(self, name: str, label: str) -> None:
        """An empty element that a script fills."""
        self._parts.append(f"<section id='{escape(name)}' aria-label='{escape(label)}'></section>")

    def statement(self, kind: str, title: str, message: str) -> None:
        """A result in words: kind "better", "worse" or ""."""
        self._parts.append(
            f"<section class='item {escape(kind)}'><h3>{escape(title)}</h3>"
            f"<p>{escape(message)}</p></section>"
        )

    def svg(self, markup: str) -> None:
        """A drawing whose texts its maker has escaped."""
        self._parts.append(markup)

    @contextmanager
    def folded(self, summary: str) -> Iterator[None]:
        """What is added within stands behind a click."""
        self._parts.append(f"<details><summary>{escape(summary)}</summary>")
        yield
        self._parts.append("</details>")

    def sortable(self, caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table that a script makes sortable; "better" and "worse" in a cell are marked."""
        top = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        self._parts.append(
            f"<div class=wide><table class=sortable><caption>{escape(caption)}</caption>"
            f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def html(self) -> str:
        hashes = " ".join(f"'sha256-{_digest(code)}'" for code in self._scripts)
        policy = (
            f"default-src 'none'; img-src data: blob:; font-src data:; connect-src data: blob:; "
            f"style-src 'unsafe-inline'; script-src {hashes} 'wasm-unsafe-eval'"
        )
        scripts = "".join(f"<script>{code}</script>" for code in self._scripts)
        return (
            "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
            f'<meta http-equiv=Content-Security-Policy content="{policy}">'
            "<meta name=viewport content='width=device-width, initial-scale=1'>"
            f"<title>{escape(self.title)}</title><style>{self._style}</style></head>"
            f"<body><main>{''.join(self._parts)}</main>{scripts}</body></html>\n"
        )


def _digest(code: str) -> str:
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()


def _cell(text: str) -> str:
    mark = {"better": "▲\N{NO-BREAK SPACE}", "worse": "▼\N{NO-BREAK SPACE}"}.get(text, "")
    kind = f" class={text}" if mark else ""
    return f"<td{kind}>{mark}{_SEPARATOR.sub('<wbr>', escape(str(text)))}</td>"
