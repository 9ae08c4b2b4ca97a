"""A schedule in a run that resumes with another length."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from medlight.callbacks.rescale_schedule import RescaleSchedule
from medlight.tasks.schedule import OneCycle, warmup_cosine

STEPS = 3
"""In an epoch."""
SCHEDULES: dict[str, Any] = {
    "cosine": warmup_cosine,
    "one-cycle": OneCycle,
    "torch's poly": lambda optimizer, total_steps: torch.optim.lr_scheduler.PolynomialLR(
        optimizer, total_steps, power=0.9
    ),
    "torch's one-cycle": partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1),
}


class Rates(pl.Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize("name", SCHEDULES)
def test_it_goes_on_as_if_planned_so_from_the_start(
    name: str, new_run: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fit(epochs: int, checkpoint: Path | None = None) -> list[float]:
        rates = Rates()
        keep = pl.callbacks.ModelCheckpoint(dirpath=tmp_path, filename=f"after_{epochs}")
        run = new_run("images", tmp_path, [RescaleSchedule(), rates, keep], epochs=epochs)
        run.task.schedule = SCHEDULES[name]
        run.task.optimizer = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
        run.fit(checkpoint)
        return rates.seen

    short, long = fit(2), fit(4)
    with caplog.at_level("INFO", "medlight"):
        resumed = fit(4, tmp_path / "after_2.ckpt")
    assert resumed == pytest.approx(long[2 * STEPS :])
    assert short + resumed != pytest.approx(long)
    (said,) = [r.getMessage() for r in caplog.records if r.name.startswith("medlight")]
    assert said.startswith("12 steps instead of 6: the schedule spans them")
    assert f"goes on at {resumed[0]:.3g} instead of" in said


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_nothing_is_said_where_the_length_stays(
    new_run: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep = partial(pl.callbacks.ModelCheckpoint, dirpath=tmp_path, filename="after_{epoch}",
                   save_top_k=-1, auto_insert_metric_name=False)  # fmt: skip
    new_run("images", tmp_path, [RescaleSchedule(), keep()], epochs=2).fit()
    with caplog.at_level("INFO", "medlight"):
        new_run("images", tmp_path, [RescaleSchedule(), keep()], epochs=2).fit(
            tmp_path / "after_0.ckpt"
        )
    assert not [r for r in caplog.records if r.name.startswith("medlight")]
