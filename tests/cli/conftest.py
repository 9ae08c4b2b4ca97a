"""The door, called in this process: composing takes a tenth of starting Python."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from medlight.cli.main import main


class Answer(NamedTuple):
    code: int
    out: str
    err: str


RunCli = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _logging_left_as_found() -> Iterator[None]:
    """Hydra configures logging for a process that ends with the job; this one goes on."""
    loggers = [logging.getLogger(name) for name in (None, "medlight.cli.main")]
    before = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    yield
    for each, handlers, level, propagate in before:
        for handler in {*each.handlers} - {*handlers}:
            handler.close()
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)


@pytest.fixture
def run_cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> RunCli:
    """Type `medlight ...` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "path", [*sys.path])

    def enter(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["medlight", *words])
        try:
            code = main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return enter
