"""What reaches the terminal: no character that its encoding lacks ends a run, and no name of a
file moves the cursor, changes the title or clears the screen."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_NO_COMMAND = re.compile(f"[{_CONTROL}]")
_OTHER_COMMAND = re.compile(rf"(?!\x1b\[[0-9;]*[ABCDGKm]|\x1b\[\?25[hl])[{_CONTROL}]")
"""All but colours, and the steps of the cursor that a progress bar takes."""


class SafeStream:
    """A text stream that shows control characters as `\\x1b` instead of sending them."""

    def __init__(self, stream: Any) -> None:
        coloured = stream.isatty() or "FORCE_COLOR" in os.environ
        self._stream, self._commands = stream, _OTHER_COMMAND if coloured else _NO_COMMAND

    def write(self, text: str) -> int:
        shown = self._commands.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
        self._stream.write(shown)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def safe_terminal() -> Iterator[None]:
    """Let only text and colours through to stdout and stderr, in what encoding they have."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    safe: Any = [None if stream is None else SafeStream(stream) for stream in before]
    sys.stdout, sys.stderr = safe
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
