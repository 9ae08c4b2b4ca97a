"""Curves survive what runs go through: resuming, new columns, tests in between."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
import pytorch_lightning as pl

from medlight.callbacks.curves import CurvesLogger, LearningRate


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open(newline="") as file:
        return list(csv.DictReader(file))


class Witness(pl.Callback):
    """What the trainer itself says at the end of each epoch."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        names = ("train/loss", "val/dice", "val/dice/liver")
        self.seen.append({name: float(trainer.callback_metrics[name]) for name in names})


def test_one_row_an_epoch_with_the_trainers_own_numbers(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    witness = Witness()
    logger = CurvesLogger(run_dir=tmp_path)
    new_run("volumes", tmp_path, [witness, LearningRate()], [logger], epochs=3).fit()
    found = rows(tmp_path)
    assert [(row["epoch"], row["step"]) for row in found] == [("0", "2"), ("1", "5"), ("2", "8")]
    for row, truth in zip(found, witness.seen, strict=True):
        assert {name: float(row[name]) for name in truth} == pytest.approx(truth, rel=1e-5)
        assert float(row["train/lr"]) == 1e-3
    seconds = [float(row["seconds"]) for row in found]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert "train/loss_step" not in found[0]


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # it is the point of resuming
def test_resuming_keeps_earlier_rows_and_replaces_later_ones(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    def keep() -> pl.callbacks.ModelCheckpoint:
        return pl.callbacks.ModelCheckpoint(
            dirpath=tmp_path, filename="after_{epoch}", save_top_k=-1, auto_insert_metric_name=False
        )

    new_run("images", tmp_path, [keep()], [CurvesLogger(run_dir=tmp_path)], epochs=3).fit()
    before = rows(tmp_path)
    lines = (tmp_path / "curves.csv").read_text().splitlines()
    seconds = lines[0].split(",").index("seconds")
    old = lines[2].split(",")
    old[seconds] = "999"
    (tmp_path / "curves.csv").write_text("\n".join([*lines[:2], ",".join(old), lines[3]]) + "\n")
    run = new_run("images", tmp_path, [keep()], [CurvesLogger(run_dir=tmp_path)], epochs=2)
    run.fit(tmp_path / "after_0.ckpt")
    after = rows(tmp_path)
    assert [row["epoch"] for row in after] == ["0", "1"]
    assert after[0] == before[0]
    assert float(after[0]["seconds"]) <= float(after[1]["seconds"]) < 999


def test_columns_grow(tmp_path: Path) -> None:
    logger = CurvesLogger(run_dir=tmp_path)
    logger.log_metrics({"train/loss_epoch": 0.5, "epoch": 0}, step=9)
    logger.log_metrics({"val/dice": 0.75, "epoch": 1}, step=19)
    logger.log_metrics({"train/loss_epoch": 0.25, "epoch": 1}, step=19)
    first, second = rows(tmp_path)
    assert (first["train/loss"], first["val/dice"]) == ("0.5", "")
    assert (second["train/loss"], second["val/dice"], second["step"]) == ("0.25", "0.75", "19")


def test_a_second_message_of_an_epoch_adds_to_its_row_but_a_new_run_replaces_it(
    tmp_path: Path,
) -> None:
    first = CurvesLogger(run_dir=tmp_path)
    first.log_metrics({"train/norm": 3.0, "epoch": 0}, step=1)
    first.log_metrics({"train/loss_epoch": 0.5, "epoch": 0}, step=2)
    (row,) = rows(tmp_path)
    assert (row["train/norm"], row["train/loss"], row["step"]) == ("3", "0.5", "2")
    CurvesLogger(run_dir=tmp_path).log_metrics({"train/loss_epoch": 0.25, "epoch": 0}, step=2)
    (row,) = rows(tmp_path)
    assert row["train/loss"] == "0.25"
    assert "train/norm" not in row


def test_tests_and_lone_validations_leave_the_curves_alone(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    new_run("images", tmp_path, [], [CurvesLogger(run_dir=tmp_path)], epochs=2).fit()
    before = (tmp_path / "curves.csv").read_bytes()
    again = new_run("images", tmp_path, [], [CurvesLogger(run_dir=tmp_path)])
    again.trainer.validate(again.task, datamodule=again.data, verbose=False)
    again.test()
    assert (tmp_path / "curves.csv").read_bytes() == before


def test_the_picture_shows_the_curves(new_run: Callable[..., Any], tmp_path: Path) -> None:
    new_run("volumes", tmp_path, [], [CurvesLogger(run_dir=tmp_path)], epochs=2).fit()
    picture = matplotlib.image.imread(tmp_path / "curves.png")
    assert picture.shape[0] > 300
    orange = (abs(picture[..., :3] - (0.902, 0.624, 0.0)) < 0.02).all(axis=-1)
    assert orange.sum() > 50  # the curve of the first class


def test_the_rate_is_logged_without_any_logger(new_run: Callable[..., Any], tmp_path: Path) -> None:
    run = new_run("images", tmp_path, [LearningRate()])
    run.fit()
    assert float(run.trainer.callback_metrics["train/lr"]) == pytest.approx(1e-3)
