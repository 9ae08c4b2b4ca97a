"""config.yaml stands alone, and holds no path of the machine it was written on."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from medlight.cli.config import load_config, register, resolve_saved_config, save_config
from medlight.cli.options import conf_dir
from medlight.core.errors import ConfigError


def composed(*overrides: str) -> DictConfig:
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", [*overrides])


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("home/me/project", "store/sets"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("MEDLIGHT_DATA", str(tmp_path / "store" / "sets"))
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    monkeypatch.chdir(tmp_path / "home" / "me" / "project")
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "saved"),
    [
        ("{}/store/sets", "${oc.env:MEDLIGHT_DATA}"),
        ("{}/store/sets/Task04", "${oc.env:MEDLIGHT_DATA}/Task04"),
        ("{}/store/sets_too", "../../../store/sets_too"),
        ("{}/home/me/project/data", "data"),
        ("{}/home/me/project", "."),
        ("{}/home/me/data/x", "${oc.env:HOME}/data/x"),
        ("{}/home/me/project/outputs/1", "${paths.run_dir}"),
        ("{}/home/me/project/outputs/1/x", "${paths.run_dir}/x"),
        ("~/data", "~/data"),
        ("data/x", "data/x"),
        ("${oc.env:MEDLIGHT_DATA,data}/x", "${oc.env:MEDLIGHT_DATA,data}/x"),
    ],
)
def test_paths_travel(machine: Path, typed: str, saved: str) -> None:
    cfg = composed("paths.run_dir=x")
    cfg.data.root = typed if typed.startswith("$") else typed.format(machine)
    save_config(cfg, Path("outputs/1/config.yaml"))
    text = Path("outputs/1/config.yaml").read_text()
    assert str(machine) not in text
    root = OmegaConf.to_container(OmegaConf.create(text), resolve=False)["data"]["root"]
    assert root == saved
    meant = Path(OmegaConf.create({"x": cfg.data.root}).x).expanduser()
    assert Path(load_config("outputs/1").data.root).expanduser().resolve() == meant.resolve()


def test_saved_and_loaded_is_the_same_config(machine: Path) -> None:
    cfg = composed("experiment=cls_densenet", "tags=[a,b]", "paths.run_dir=outputs/1", "seed=3")
    save_config(cfg, machine / "home/me/project/outputs/1/config.yaml")
    assert OmegaConf.to_container(load_config("outputs/1"), resolve=True) == OmegaConf.to_container(
        cfg, resolve=True
    )
    assert [path.name for path in Path("outputs/1").iterdir()] == ["config.yaml"]


@pytest.mark.usefixtures("machine")
def test_the_saved_config_needs_no_hydra() -> None:
    cfg = composed()
    cfg.name = "${medlight.token:}"
    save_config(cfg, Path("outputs/1/config.yaml"))
    text = Path("outputs/1/config.yaml").read_text()
    assert "${hydra" not in text
    assert "${medlight" not in text
    assert load_config("outputs/1").paths.run_dir == "outputs/1"


def test_no_run_directory_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="nowhere is not a run directory"):
        load_config(tmp_path / "nowhere")


def test_a_resolved_config_holds_values_and_no_place(tmp_path: Path) -> None:
    text = """
seed: 3
paths: {data: "${oc.env:HOME}", cache: "${oc.env:HOME}/cache"}
data: {seed: "${seed}", root: "${paths.data}", store: "${store}"}
store: {folder: "${paths.cache}/store", key: "${oc.env:HOME}", codec: none}
"""
    (tmp_path / "config.yaml").write_text(text)
    found = resolve_saved_config(tmp_path)
    assert found["data"]["seed"] == 3
    assert found["data"]["store"] == found["store"]
    assert found["store"]["codec"] == "none"
    assert found["store"]["folder"] == "${paths.cache}/store"
    assert str(Path.home()) not in str(found)
