"""What all tests share: drawn data, and real data where it is there."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from medlight.cli.main import main
from medlight.datasets.phantom import PhantomDataModule


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for real data, itself or by another fixture."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for a whole test run, whatever the number of its processes."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-cache"


@pytest.fixture(scope="session")
def phantom_folder(shared_cache: Path) -> Path:
    """A task folder in Decathlon format with ten small volumes."""
    return PhantomDataModule(cache=shared_cache, n_cases=10).folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets that MEDLIGHT_DATA names."""
    folder = os.environ.get("MEDLIGHT_DATA")
    if not folder:
        pytest.skip("MEDLIGHT_DATA is not set: no real data to test on")
    return Path(folder)


class Answer(NamedTuple):
    code: int
    out: str
    err: str


RunCli = Callable[..., Answer]


@pytest.fixture
def logging_left_as_found() -> Iterator[None]:
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
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    logging_left_as_found: None,
) -> RunCli:
    """Type `medlight ...` in an empty folder, in this process: starting one takes seconds."""
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
