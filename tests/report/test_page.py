"""A page is one file that shows whatever it is given, and runs and loads none of it."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from medlight.report.page import Figure, Page

HOSTILE = "<script>alert('x')</script>\"><img src=http://evil.example/x onerror=alert(1)>&amp;"


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile_page() -> Page:
    page = Page(HOSTILE)
    page.heading(HOSTILE)
    page.text(HOSTILE)
    page.command(HOSTILE)
    page.tiles([("error", 1, HOSTILE), (HOSTILE, 2, "x")])
    page.table([HOSTILE], [[HOSTILE]])
    page.callout("warning", HOSTILE, HOSTILE, HOSTILE)
    page.callout(HOSTILE, "x", "x", "x")
    page.bars([(HOSTILE, 1.0)], HOSTILE)
    page.details(HOSTILE, [HOSTILE])
    page.images([Figure(np.zeros((4, 4, 3), np.uint8), HOSTILE)])
    return page


def test_nothing_a_name_says_becomes_markup(tmp_path: Path) -> None:
    hostile_page().save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    seen = Seen()
    seen.feed(text)
    assert "script" not in seen.tags
    assert seen.tags.count("img") == 1
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert seen.text.count(HOSTILE) >= 12


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    seen = Seen()
    seen.feed(hostile_page().html())
    sources = [value for name, value in seen.attributes if name in ("src", "href")]
    assert [value for value in sources if not str(value).startswith("data:image/png")] == []
    assert "link" not in seen.tags
    policy = [value for name, value in seen.attributes if name == "content" and value]
    assert any("default-src 'none'" in value for value in policy)


def test_levels_are_told_by_sign_and_word_besides_colour() -> None:
    page = Page("x")
    for level in ("error", "warning", "note"):
        page.callout(level, "kind", "what", "do")
    text = page.html()
    assert all(sign in text and f"{word}: kind" in text for word, sign in
               (("error", "✖"), ("warning", "▲"), ("note", "●")))  # fmt: skip
