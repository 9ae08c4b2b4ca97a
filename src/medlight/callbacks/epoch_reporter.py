"""Tell somebody outside how far a run is, epoch by epoch, and stop it where they say so."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl


@dataclass(frozen=True, slots=True)
class EpochProgress:
    """How far a run is.

    Attributes:
        epochs_done: epochs done; `max_epochs`: how many there will be, where that is known.
        score: the metric, where this epoch was validated.
        left: about how many more seconds of training.
    """

    epochs_done: int
    max_epochs: int | None
    score: float | None
    left: float | None


class TrialPruned(Exception):  # noqa: N818  # not an error, but the way out
    """A run that is not worth finishing."""

    status = "pruned"
    """For provenance.json."""


class EpochReporter(pl.Callback):
    """Calls `on_epoch` after every epoch, on the first process; where it answers True, all stop.

    Args:
        metric: the name of the score, e.g. "val/dice".
        on_epoch: called with an Epoch; True ends the run with `TrialPruned`.
    """

    def __init__(self, *, metric: str, on_epoch: Callable[[EpochProgress], bool]) -> None:
        self.metric, self.on_epoch = metric, on_epoch
        self._validated = False
        self._started = self._first = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started, self._first = time.monotonic(), trainer.current_epoch

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        stop = self.on_epoch(self._epoch(trainer)) if trainer.is_global_zero else False
        self._validated = False
        if trainer.strategy.broadcast(stop, src=0):
            raise TrialPruned(f"stopped after epoch {trainer.current_epoch + 1}")

    def _epoch(self, trainer: pl.Trainer) -> EpochProgress:
        value: Any = trainer.callback_metrics.get(self.metric) if self._validated else None
        epochs_done = trainer.current_epoch + 1
        max_epochs = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
        each = (time.monotonic() - self._started) / (epochs_done - self._first)
        return EpochProgress(
            epochs_done=epochs_done,
            max_epochs=max_epochs,
            score=None if value is None else float(value),
            left=None if max_epochs is None else each * (max_epochs - epochs_done),
        )
