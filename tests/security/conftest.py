"""A run directory as a stranger would send it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from medlight.cli.config import register, save_config
from medlight.cli.options import conf_dir

ForeignRun = Callable[..., Path]


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
