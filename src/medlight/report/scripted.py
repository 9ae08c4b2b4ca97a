"""A page with scripts of its own, and no others: each is named by its hash in the page's policy.

Data reach the scripts as JSON in which no markup can hide; scripts must write them as text.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

from medlight.report.page import Page
from medlight.report.style import STYLE

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
