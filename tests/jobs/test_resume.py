"""A resume changes a run only when it trains; and what is typed at it wins, or is refused."""

import csv
import hashlib
import multiprocessing
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import monai.networks.nets  # noqa: F401  # imported once, not by every process
import pytest
import torch
import yaml

import medlight.cli.launch  # noqa: F401
from medlight.cli.main import main

RUN = [
    "experiment=seg_unet2d", "data.n_cases=20", "data.batch_size=2", "data.epoch_samples=8",
    "model.channels=[4,8]", "model.strides=[2]", "schedule=constant",
    "~callbacks.panels",
    "~callbacks.selective", "callbacks.results.predictions=false", "trainer.accelerator=cpu",
]  # fmt: skip
EARLY = ["callbacks=early_stopping", "callbacks.early_stopping.min_delta=1.0"]
"""Nothing is that much better."""
Type = Callable[..., tuple[int, str]]


def enter(folder: Path, words: list[str], cache: Path) -> None:
    os.chdir(folder)
    os.environ["MEDLIGHT_CACHE"] = str(cache)
    sys.stdout = sys.stderr = Path("screen.txt").open("w", buffering=1)  # noqa: SIM115
    sys.argv = ["medlight", *words]
    sys.exit(main(words))


@pytest.fixture(scope="module")
def typed(shared_cache: Path) -> Type:
    """Type `medlight ...` in a folder: (exit code, screen)."""

    def run(folder: Path, *words: str) -> tuple[int, str]:
        context = multiprocessing.get_context("fork")
        process = context.Process(target=enter, args=(folder, list(words), shared_cache))
        process.start()
        process.join(120)
        assert process.exitcode is not None, "does not end"
        return process.exitcode, (folder / "screen.txt").read_text()

    return run


@pytest.fixture(scope="module")
def trained(typed: Type, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished `run` of two epochs, whose patience of one is used up."""
    folder = tmp_path_factory.mktemp("trained")
    early = [*EARLY, "callbacks.early_stopping.patience=1", "optimizer.lr=1e-9"]
    code, screen = typed(folder, *RUN, *early, "trainer.max_epochs=8", "hydra.run.dir=run")
    assert code == 0, screen
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path


def digest(run: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name not in ("run.log", ".lock")
    }


def epochs_of(run: Path) -> int:
    return len((run / "curves.csv").read_text().splitlines()) - 1


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("trainer.max_epochs=1", "has trained 2 epochs already, and trainer.max_epochs is 1"),
        ("trainer.accelerator=tpu", "error: trainer: "),
        ("trainer.precision=3", "error: trainer: Precision 3 is invalid"),
        ("damaged", "last.ckpt: the checkpoint is damaged"),
        ("cut", "last.ckpt: cannot read checkpoint"),
    ],
)
def test_a_resume_that_fails_changes_nothing(
    word: str, said: str, folder: Path, typed: Type
) -> None:
    """config.yaml held what was typed, and the finished run counted as failed."""
    words, last = ["resume=run"], folder / "run" / "checkpoints" / "last.ckpt"
    if "=" in word:
        words.append(word)
    else:
        content = bytearray(last.read_bytes())
        with zipfile.ZipFile(last) as parts:  # between them there is padding
            largest = max(parts.infolist(), key=lambda part: part.file_size)
            content[content.find(parts.read(largest)) + largest.file_size // 2] ^= 1
        last.write_bytes(content if word == "damaged" else content[:2000])
    before = digest(folder / "run")
    code, screen = typed(folder, *words)
    assert (code, "Traceback" in screen) == (1, False), screen
    assert said in screen
    assert digest(folder / "run") == before


def test_a_resume_with_nothing_to_do_says_so(folder: Path, typed: Type) -> None:
    code, screen = typed(folder, "resume=run")
    assert code == 0, screen
    assert "had stopped early: no better val/dice in 1 validations; give a larger" in screen
    code, screen = typed(folder, "resume=run", "trainer.max_epochs=2")
    assert "has trained all of its 2 epochs: nothing is left to train" in screen


@pytest.mark.parametrize(
    "words", [["callbacks.early_stopping.patience=20"], ["~callbacks.early_stopping"]]
)
def test_a_run_that_stopped_early_goes_on(words: list[str], folder: Path, typed: Type) -> None:
    """It went straight to the test, and config.yaml said that it had not."""
    code, screen = typed(folder, "resume=run", *words, "trainer.max_epochs=4")
    assert code == 0, screen
    assert epochs_of(folder / "run") == 4
    config = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert config["callbacks"].get("early_stopping", {}).get("patience") in (20, None)


def test_steps_that_end_within_an_epoch_are_gone_on_with(tmp_path: Path, typed: Type) -> None:
    """The rest of the epoch was left out, and its validation with it."""
    words = [*RUN, "trainer.max_epochs=-1", "+trainer.max_steps=3", "hydra.run.dir=run"]
    code, screen = typed(tmp_path, *words)
    assert code == 0, screen
    assert "No validation chose a best checkpoint: the last weights are kept" in screen
    told = "within epoch 1. The rest of it is trained now"
    assert told not in typed(tmp_path, "resume=run")[1]
    code, screen = typed(tmp_path, "resume=run", "trainer.max_steps=6")
    assert code == 0, screen
    assert told in screen
    with (tmp_path / "run" / "curves.csv").open(newline="") as file:
        rows = [(row["epoch"], row["step"], bool(row["val/dice"])) for row in csv.DictReader(file)]
    assert rows == [("0", "3", True), ("1", "5", False)]


def test_training_time_that_is_used_up_says_so_and_more_goes_on(
    tmp_path: Path, typed: Type
) -> None:
    words = [*RUN, "+trainer.max_time={milliseconds: 1}", "trainer.max_epochs=2"]
    assert typed(tmp_path, *words, "hydra.run.dir=run")[0] == 0
    code, screen = typed(tmp_path, "resume=run")
    assert (code, "trainer.max_time is of the whole run" in screen) == (0, True), screen
    code, screen = typed(tmp_path, "resume=run", "trainer.max_time=null")
    assert code == 0, screen
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert (last["epoch"], last["global_step"]) == (2, 8)
