"""How fast training goes."""

import time
from collections.abc import Sized
from typing import Any

import pytorch_lightning as pl


class TrainingThroughput:
    """Counts training samples of all ranks and the seconds spent on them.

    Call `start` where training starts or goes on after something else (an epoch, a validation),
    and `batch` after every batch.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.seconds = 0.0
        self._mark = time.perf_counter()

    def start(self) -> None:
        self._mark = time.perf_counter()

    def batch(self, trainer: pl.Trainer, batch: Any) -> None:
        images: Sized = batch["image"]
        now = time.perf_counter()
        self.samples += len(images) * trainer.world_size
        self.seconds += now - self._mark
        self._mark = now

    @property
    def samples_per_s(self) -> float:
        """nan before the first batch."""
        return self.samples / self.seconds if self.seconds else float("nan")


def format_duration(seconds: float) -> str:
    """Seconds for human eyes.

    >>> format_duration(83), format_duration(4000)
    ('1:23', '1:06:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
