"""Nothing that a name holds acts on a terminal, and no encoding of it ends a command."""

import io
import sys

import pytest

from medlight.cli.main import main
from medlight.cli.terminal import safe_terminal

NAME = "run\x1b]0;owned\x07\x1b[2J\x9b31m\b–脳\udcfc"


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str, *, tty: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp1252", "utf-8"])
def test_an_error_about_a_name_is_one_plain_line(
    monkeypatch: pytest.MonkeyPatch, encoding: str, tty: bool
) -> None:
    out, err = Terminal(encoding, tty=tty), Terminal(encoding, tty=tty)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert main(["compare", NAME]) == 1
    text = err.text().replace("\x1b[1;31m", "").replace("\x1b[0m", "") if tty else err.text()
    assert text.startswith("error: run")
    assert not set(text) & {"\x1b", "\x07", "\x9b", "\b"}
    assert (sys.stdout, sys.stderr) == (out, err)


def test_colours_and_progress_bars_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "\x1b[1;31mred\x1b[0m \r\x1b[2K\x1b[1A\x1b[?25l\tdone\n"
    out = Terminal("utf-8", tty=True)
    monkeypatch.setattr(sys, "stdout", out)
    with safe_terminal():
        print(shown, end="")
        sys.stdout.writelines(["a\n", "b\x1b[2J\n"])
        assert sys.stdout.encoding == "utf-8"
    assert out.text() == shown + "a\nb\\x1b[2J\n"


def test_a_process_without_a_terminal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with safe_terminal():
        assert sys.stdout is None


def test_help_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal("ascii", tty=False)
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["--help"]) == 0
    assert "medlight" in out.text()
