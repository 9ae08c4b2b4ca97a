"""Randomness inside a training step that remembers nothing."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch


class Reseed(pl.Callback):
    """Makes dropout, and all else that draws from a global generator while a batch is trained on,
    a function of (seed, epoch, batch, rank): a resumed run then needs no generator's state.

    Args:
        seed: of the run.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed % (1 << 64)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        place = (self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        words = np.random.SeedSequence(place).generate_state(3)
        random.seed(int(words[0]))
        np.random.seed(words[1])
        torch.manual_seed(int(words[2]))
