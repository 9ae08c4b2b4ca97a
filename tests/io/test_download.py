"""Downloads against a server of our own that behaves as badly as the real ones."""

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from medlight.core.errors import DataNotFoundError
from medlight.io.locate import fetch

CONTENT = b"archive" * 5000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Moody(BaseHTTPRequestHandler):
    """Answers with the moods in turn, then well."""

    moods: ClassVar[list[str]] = []
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        mood = self.moods.pop(0) if self.moods else "well"
        self.send_response(503 if mood == "busy" else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write({"short": CONTENT[:999], "wrong": CONTENT[::-1]}.get(mood, CONTENT))
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    Moody.moods, Moody.asked = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Moody) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize(
    "moods", [[], ["busy", "busy"], ["short"], ["wrong"], ["short", "busy", "wrong"]]
)
def test_tried_until_it_is_right(server: str, tmp_path: Path, moods: list[str]) -> None:
    Moody.moods = [*moods]
    found = fetch(f"{server}/data/a.tar", MD5, tmp_path / "cache")
    assert found == tmp_path / "cache" / "a.tar"
    assert found.read_bytes() == CONTENT
    assert len(Moody.asked) == len(moods) + 1
    assert fetch(f"{server}/data/a.tar", MD5, tmp_path / "cache") == found
    assert len(Moody.asked) == len(moods) + 1


@pytest.mark.parametrize("mood", ["busy", "short", "wrong"])
def test_what_stays_wrong_leaves_nothing(server: str, tmp_path: Path, mood: str) -> None:
    Moody.moods = [mood] * 9
    with pytest.raises(
        DataNotFoundError, match=r"http://127.*a\.tar could not be downloaded.*data\.root="
    ):
        fetch(f"{server}/a.tar", MD5, tmp_path, retries=2)
    assert len(Moody.asked) == 3
    assert list(tmp_path.iterdir()) == []


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="could not be downloaded"):
        fetch("http://127.0.0.1:9/a.tar", MD5, tmp_path, retries=0)
