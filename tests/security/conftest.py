"""A run directory as a stranger would send it, and the command line in this process."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from medlight.cli.config import register, save_config
from medlight.cli.main import main
from medlight.cli.options import conf_dir

ForeignRun = Callable[..., Path]


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
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCli:
    """Type `medlight ...` in an empty folder."""
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


@pytest.fixture(autouse=True)
def _trusts_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MEDLIGHT_TRUST", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def saved_config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    register()
    words = ["experiment=cls_resnet_fast", "data=phantom2d", "paths.run_dir=run"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", words)
    file = tmp_path_factory.mktemp("saved") / "config.yaml"
    save_config(cfg, file)
    plain: Any = OmegaConf.to_container(OmegaConf.load(file))
    return dict(plain)


@pytest.fixture
def foreign_run(tmp_path: Path, saved_config: dict[str, Any]) -> ForeignRun:
    """Write a run directory with some keys of its config replaced."""

    def write(**replaced: Any) -> Path:
        folder = tmp_path / "foreign"
        folder.mkdir(exist_ok=True)
        OmegaConf.save(OmegaConf.create({**saved_config, **replaced}), folder / "config.yaml")
        return folder

    return write
