"""What a run says of itself: true, complete, and without naming host, user or folders."""

import getpass
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import medlight
from medlight.callbacks.provenance import Provenance
from medlight.core.data_spec import DataSpec
from medlight.core.labels import Labels
from medlight.runs.environment import command_line, forward_flops
from medlight.runs.private import strip_local_paths

ROOT = Path(medlight.__file__).parents[2]


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "provenance.json").read_text())


def checkpoint(folder: Path) -> pl.callbacks.ModelCheckpoint:
    return pl.callbacks.ModelCheckpoint(dirpath=folder, filename="best", save_last=True)


class During(pl.Callback):
    """Reads the record while the run goes on, and may break the run."""

    def __init__(self, folder: Path, error: BaseException | None = None) -> None:
        self.folder, self.error = folder, error
        self.seen: list[dict[str, Any]] = []

    def on_train_batch_start(self, *args: Any) -> None:
        self.seen.append(record(self.folder))
        if self.error is not None:
            raise self.error


def test_a_whole_run(
    new_run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)  # of a run that was here before
    during = During(tmp_path)
    callbacks = [Provenance(run_dir=tmp_path), during, checkpoint(tmp_path)]
    run = new_run("volumes", tmp_path, callbacks, epochs=2)
    run.fit()
    run.test()
    assert during.seen[0]["status"] == "running"
    found = record(tmp_path)
    assert found["status"] == "finished"
    assert found["code"]["medlight"] == medlight.__version__
    assert found["code"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert found["data"]["fingerprint"] == run.data.cases.fingerprint()
    assert found["data"]["sources"] == [{"name": "tiny", "version": "1", "licence": "CC0"}]
    assert found["split"] == {
        "fold": "0", "hash": run.data.split.hash, "train": 6, "val": 3, "test": 5,
    }  # fmt: skip
    weights = 3 * 27 + 3
    operations = 2 * 27 * 3 * 16 * 20 * 12  # of a training case
    assert found["net"] == {"class": "TinyNet", "parameters": weights, "flops": operations}
    assert found["policy"].endswith("NSD at 1 mm")
    assert found["hardware"]["accelerator"] == "cpu"
    assert found["hardware"]["precision"] == "32-true"
    assert found["training"]["epochs"] == 2
    assert found["training"]["steps"] == 6
    assert found["training"]["samples_per_s"] > 0
    assert found["times"]["fit_seconds"] > 0
    assert found["times"]["test_seconds"] >= 0
    assert found["peak_memory_mb"]["process"] > 50
    assert found["seed"] == run.data.seed
    split = json.loads((tmp_path / "split.json").read_text())
    assert split["test"] == sorted(run.data.split.test)
    assert split["hash"] == run.data.split.hash


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="runs from no checkout")
def test_the_commit_is_the_checkouts(new_run: Callable[..., Any], tmp_path: Path) -> None:
    new_run("images", tmp_path, [Provenance(run_dir=tmp_path)]).test()

    def git(*words: str) -> str:
        answer = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
        return answer.stdout.strip()

    code = record(tmp_path)["code"]
    assert code["commit"] == git("rev-parse", "HEAD")
    assert code["dirty"] == bool(git("status", "--porcelain"))


def test_nobody_and_no_machine_is_named(
    new_run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Path.cwd() / "data" / "Task04"
    words = [f"data.folder={inside}", f"paths.cache={Path.home()}/cache", f"out={tmp_path}/o"]
    monkeypatch.setattr(sys, "argv", [str(ROOT / "src/medlight/__main__.py"), *words])
    new_run("volumes", tmp_path, [Provenance(run_dir=tmp_path)]).test()
    text = (tmp_path / "provenance.json").read_text() + (tmp_path / "split.json").read_text()
    for name in (socket.gethostname(), getpass.getuser()):
        assert not re.search(rf"\b{re.escape(name)}\b", text)
    for folder in (Path.cwd(), Path.home(), tmp_path):
        assert f"{folder}/" not in text
    assert record(tmp_path)["command"][:4] == [
        "python",
        "-m",
        "medlight",
        "data.folder=data/Task04",
    ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("experiment=seg_unet3d", "experiment=seg_unet3d"),
        ("optimizer.lr=1e-3/2", "optimizer.lr=1e-3/2"),
        ("data.root=/mnt/disk7/Task04", "data.root=.../Task04"),
        ("roots=[/mnt/a,/mnt/b]", "roots=[.../a,.../b]"),
        ("url=s3://bucket/key", "url=s3://bucket/key"),
        ("a='/x/y'", "a='.../y'"),
    ],
)
def test_portable_words(word: str, expected: str) -> None:
    assert strip_local_paths(word) == expected


def test_a_console_script_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/venv/bin/medlight", "seed=1"])
    assert command_line() == ["medlight", "seed=1"]


def test_checkpoints_hold_plain_facts(new_run: Callable[..., Any], tmp_path: Path) -> None:
    new_run("volumes", tmp_path, [Provenance(run_dir=tmp_path), checkpoint(tmp_path)]).fit()
    found = torch.load(tmp_path / "best.ckpt", weights_only=True)["medlight"]
    assert found["version"] == medlight.__version__
    spec = DataSpec(3, 1, Labels(("background", "liver", "spleen"), "mask"), (16, 16, 16))
    assert found["spec"] == spec.as_dict()
    assert DataSpec.from_dict(found["spec"]) == spec
    assert found["split"]["fold"] == "0"


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_a_broken_run_says_so(
    error: BaseException, status: str, new_run: Callable[..., Any], tmp_path: Path
) -> None:
    callbacks = [Provenance(run_dir=tmp_path), During(tmp_path, error)]
    with pytest.raises((ValueError, SystemExit)):
        new_run("images", tmp_path, callbacks).fit()
    found = record(tmp_path)
    assert found["status"] == status
    assert found["training"]["steps"] == 0


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # it is the point of resuming
def test_a_resumed_run_counts_on(new_run: Callable[..., Any], tmp_path: Path) -> None:
    new_run("images", tmp_path, [Provenance(run_dir=tmp_path), checkpoint(tmp_path)]).fit()
    first = record(tmp_path)["times"]
    callbacks = [Provenance(run_dir=tmp_path), checkpoint(tmp_path)]
    new_run("images", tmp_path, callbacks, epochs=2).fit(tmp_path / "last.ckpt")
    found = record(tmp_path)
    assert (first["sessions"], found["times"]["sessions"]) == (1, 2)
    assert found["times"]["fit_seconds"] > 0.5 * first["fit_seconds"]
    assert found["training"]["epochs"] == 2
    assert found["training"]["steps"] == 6


def test_a_later_test_keeps_what_the_fit_said(new_run: Callable[..., Any], tmp_path: Path) -> None:
    new_run("images", tmp_path, [Provenance(run_dir=tmp_path)]).fit()
    before = record(tmp_path)
    new_run("images", tmp_path, [Provenance(run_dir=tmp_path)]).test()
    after = record(tmp_path)
    assert after["training"] == before["training"]
    assert after["times"]["fit_seconds"] == before["times"]["fit_seconds"]
    assert "test_seconds" in after["times"]


def test_operations_are_counted_and_nothing_changes() -> None:
    """A convolution is 2 x in x out x kernel for each of its outputs."""
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.Dropout(0.5)
    )
    module = pl.LightningModule()
    module.net = net
    before = {name: value.clone() for name, value in net.state_dict().items()}
    drawn = torch.get_rng_state()
    assert forward_flops(module, (3, 10, 12)) == 2 * 3 * 8 * 9 * 120
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_operations_of_a_net_that_holds_a_layer_twice_or_says_no() -> None:
    """DynUNet lists its levels under two names."""
    module = pl.LightningModule()
    layer = torch.nn.Conv2d(3, 3, 1)
    module.net = torch.nn.ModuleDict({"all": torch.nn.ModuleList([layer]), "one": layer})
    module.net.forward = lambda image: layer(layer(image))
    assert forward_flops(module, (3, 4, 5)) == 2 * (2 * 3 * 3 * 20)
    assert layer.weight.device.type == "cpu", "it would be trained no more"

    def refuse(image: torch.Tensor) -> None:
        raise ValueError("no images on meta")

    module.net.forward = refuse
    assert forward_flops(module, (3, 4, 5)) is None
