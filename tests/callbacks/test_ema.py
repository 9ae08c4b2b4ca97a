"""Which weights are validated, saved and tested."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from medlight.callbacks.ema import EMA

DECAY = 0.4  # reached after five steps of warming up


class Witness(pl.Callback):
    """Averages by hand, and notes the weights that each stage works with."""

    def __init__(self) -> None:
        self.average: Tensor | None = None
        self.used: dict[str, Tensor] = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        now = pl_module.net.conv.weight.detach().clone()
        step = trainer.global_step - 1
        keep = min(DECAY, (1 + step) / (10 + step))
        self.average = now if self.average is None else keep * self.average + (1 - keep) * now
        self.used["train"] = now

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.used["val"] = pl_module.net.conv.weight.detach().clone()

    def on_test_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.used["test"] = pl_module.net.conv.weight.detach().clone()


def best(folder: Path) -> pl.callbacks.ModelCheckpoint:
    return pl.callbacks.ModelCheckpoint(
        dirpath=folder, filename="best", enable_version_counter=False
    )


def test_the_average_is_validated_saved_and_tested(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    witness = Witness()
    run = new_run("images", tmp_path, [EMA(decay=DECAY), witness, best(tmp_path)], epochs=3)
    run.task.optimizer = lambda parameters: torch.optim.SGD(parameters, lr=0.5)
    run.fit()
    average = witness.average
    assert average is not None
    assert not torch.allclose(average, witness.used["train"], atol=1e-3)
    torch.testing.assert_close(witness.used["val"], average)
    saved = torch.load(tmp_path / "best.ckpt", weights_only=True)
    torch.testing.assert_close(saved["state_dict"]["net.conv.weight"], average)
    run.test(tmp_path / "best.ckpt")  # in the process that trained
    torch.testing.assert_close(witness.used["test"], average)

    later = Witness()
    fresh = new_run("images", tmp_path, [EMA(decay=DECAY), later, best(tmp_path)])
    fresh.test(tmp_path / "best.ckpt")
    torch.testing.assert_close(later.used["test"], average)


def test_a_validation_after_the_fit_is_of_the_checkpoint_it_names(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    witness = Witness()
    keep = pl.callbacks.ModelCheckpoint(
        dirpath=tmp_path, filename="after_{epoch}", save_top_k=-1, auto_insert_metric_name=False
    )
    run = new_run("images", tmp_path, [EMA(decay=DECAY), witness, keep], epochs=2)
    run.fit()
    first = tmp_path / "after_0.ckpt"
    run.trainer.validate(run.task, datamodule=run.data, ckpt_path=first, verbose=False)
    saved = torch.load(first, weights_only=True)["state_dict"]["net.conv.weight"]
    torch.testing.assert_close(witness.used["val"], saved)


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # it is the point of resuming
def test_resuming_goes_on_with_trained_weights_and_their_average(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    run = new_run("images", tmp_path, [EMA(decay=DECAY), best(tmp_path)], epochs=1)
    run.fit()
    saved = torch.load(tmp_path / "best.ckpt", weights_only=True)
    first, average = Witness(), saved["state_dict"]["net.conv.weight"].clone()
    first.average = average
    resumed = new_run("images", tmp_path, [EMA(decay=DECAY), first, best(tmp_path)], epochs=2)
    resumed.fit(tmp_path / "best.ckpt")
    assert first.average is not None
    torch.testing.assert_close(resumed.task.net.conv.weight.detach(), first.average)
