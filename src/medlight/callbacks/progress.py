"""How far a run is: a bar where somebody looks, a line per epoch where nobody does."""

import logging
import math
import sys
import time
from typing import Any

import pytorch_lightning as pl
from rich import get_console
from rich.progress import ProgressColumn, TextColumn

from medlight.callbacks.throughput import TrainingThroughput, format_duration

log = logging.getLogger(__name__)

REFRESH_S = 0.5
"""Shortest time between two looks at the loss: each look waits for the device."""


class Progress(pl.callbacks.RichProgressBar):
    """Loss, metric, samples a second and time left.

    On a terminal or in a notebook as a bar; elsewhere (a log file, CI) as one line per epoch.

    Args:
        metric: the name shown beside the loss, e.g. "val/dice".
    """

    def __init__(self, *, metric: str | None = None) -> None:
        super().__init__(refresh_rate=10)
        self.metric = metric
        self._throughput = TrainingThroughput()
        self._started = self._shown_at = time.monotonic()
        self._first_step = 0
        self._shown: dict[str, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if not (sys.stdout.isatty() or get_console().is_jupyter):
            self.disable()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._started, self._first_step = time.monotonic(), trainer.global_step

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._throughput = TrainingThroughput()
        super().on_train_epoch_start(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        self._throughput.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._throughput.batch(trainer, batch)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._shown_at = -math.inf
        super().on_train_epoch_end(trainer, pl_module)
        if trainer.is_global_zero and self.is_disabled:
            epochs = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs}"
            parts = [f"epoch {trainer.current_epoch + 1}{epochs}"]
            parts += [f"{name} {value}" for name, value in self._state(trainer).items()]
            log.info("  ".join(parts))

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        if time.monotonic() - self._shown_at > REFRESH_S:
            self._shown, self._shown_at = self._state(trainer), time.monotonic()
        return self._shown

    def _state(self, trainer: pl.Trainer) -> dict[str, str]:
        metrics = trainer.callback_metrics
        state = {}
        if "train/loss" in metrics:
            state["loss"] = f"{float(metrics['train/loss']):.4f}"
        if self.metric in metrics:
            state[str(self.metric)] = f"{float(metrics[self.metric]):.4f}"
        if self._throughput.seconds:
            state["samples/s"] = f"{self._throughput.samples_per_s:.3g}"
        done = trainer.global_step - self._first_step
        left = trainer.estimated_stepping_batches - trainer.global_step
        if done and math.isfinite(left):
            state["left"] = format_duration((time.monotonic() - self._started) * left / done)
        return state

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"

    def configure_columns(self, trainer: pl.Trainer) -> list[ProgressColumn]:
        """Description, bar and batches; the rest stands in the metrics."""
        name, bar, batches, *_ = super().configure_columns(trainer)
        bar.bar_width = 16
        return [name, bar, batches, TextColumn(" ")]
