"""The user's own configs take the place of those with their name that are shipped."""

import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import DictConfig, OmegaConf

from medlight.cli.options import CONFIG_DIR_VARIABLE, NO_USER_CONF_VARIABLE, conf_dir
from medlight.sweep import command
from medlight.sweep.sweep import Fingerprints, Sweep

RUN = ["experiment=seg_unet3d_quick", "data=phantom"]


def edited(folder: Path, name: str, old: str, new: str) -> None:
    """A copy of a shipped file with a change: what users do first."""
    text = (conf_dir() / name).read_text()
    assert old in text
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("words", "name", "old", "new", "key"),
    [
        ([], "model/unet3d.yaml", "channels: [16, 32, 64, 128]", "channels: [4, 8, 16, 32]",
         "model.channels"),
        ([], "experiment/seg_unet3d_quick.yaml", "max_epochs: 12", "max_epochs: 3",
         "trainer.max_epochs"),
        ([], "config.yaml", "seed: 0", "seed: 9", "seed"),
        (["--config-dir", "mine"], "callbacks/default.yaml", "decay: 0.99", "decay: 0.5",
         "callbacks.ema.decay"),
        (["--config-dir=mine"], "config.yaml", "seed: 0", "seed: 9", "seed"),
    ],
)  # fmt: skip
def test_a_file_with_a_shipped_name_replaces_it(
    words: list[str], name: str, old: str, new: str, key: str, run_cli, tmp_path: Path
) -> None:
    """It had no effect, and nobody said so."""
    shipped = OmegaConf.create(run_cli(*RUN, "--cfg", "job").out)
    folder = tmp_path / ("mine" if words else "conf")
    edited(folder, name, old, new)
    code, out, err = run_cli(*words, *RUN, "--cfg", "job")
    assert code == 0, err
    found = OmegaConf.create(out)
    wanted = OmegaConf.create(new)
    last = key.rpartition(".")[2]
    assert OmegaConf.select(found, key) == wanted[last]
    assert err == f"note: {folder.name} replaces {name} (as shipped: --no-user-conf)\n"
    if not words:
        again = run_cli(*RUN, "--cfg", "job", "--no-user-conf")
        assert (OmegaConf.create(again.out), again.err) == (shipped, "")
    assert not {CONFIG_DIR_VARIABLE, NO_USER_CONF_VARIABLE} & set(os.environ)


def test_a_copy_without_changes_is_not_worth_a_word(run_cli, tmp_path: Path) -> None:
    shutil.copytree(conf_dir(), tmp_path / "conf")
    assert run_cli(*RUN, "--cfg", "job").err == ""


def test_what_is_named_comes_before_what_lies_there(run_cli, tmp_path: Path) -> None:
    for folder, seed in (("conf", 1), ("mine", 2)):
        edited(tmp_path / folder, "config.yaml", "seed: 0", f"seed: {seed}")
    assert "seed: 2" in run_cli("--config-dir", "mine", "--cfg", "job").out
    assert "seed: 1" in run_cli("--cfg", "job").out


def test_the_jobs_of_a_sweep_are_composed_of_them(
    run_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited(tmp_path / "conf", "model/unet3d.yaml", "channels: [16, 32, 64, 128]", "channels: [4]")
    (tmp_path / "conf" / "mine.yaml").write_text("defaults: [config, _self_]\nname: mine\n")
    composed: list[DictConfig] = []
    monkeypatch.setattr(Fingerprints, "of", lambda _, cfg: composed.append(cfg) or "data")
    monkeypatch.setattr(Sweep, "launch", lambda *_: None)
    monkeypatch.setattr(
        command, "process_context", lambda: SimpleNamespace(Process=threading.Thread)
    )
    words = ["--config-name", "mine", "sweep.name=s", "seed=0,1"]
    out, err = run_cli("-m", *words)[1:]
    assert "2 jobs in outputs/sweeps/s: 2 new" in out, err
    assert [(cfg.name, cfg.seed, cfg.model.channels) for cfg in composed] == [
        ("mine", 0, [4]), ("mine", 1, [4])
    ]  # fmt: skip


@pytest.mark.parametrize(
    "word", ["hydra.sweep.dir=elsewhere", "hydra.run.dir=elsewhere", "hydra.sweep.subdir=x"]
)
def test_a_place_that_a_sweep_would_ignore_is_refused(word: str, run_cli, tmp_path: Path) -> None:
    """It went to outputs/sweeps all the same."""
    code, _, err = run_cli("-m", *RUN, "seed=0,1", word)
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith(f"error: {word}: a sweep lies in outputs/sweeps/<sweep.name>")
    assert not (tmp_path / "outputs").exists()


def test_another_root_is_refused_where_a_run_is_the_root(run_cli) -> None:
    code, _, err = run_cli("resume=x", "--config-name", "mine")
    assert (code, err.count("\n")) == (1, 1)
