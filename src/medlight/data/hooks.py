"""What Lightning's trainer asks of data besides loaders: the share of a rank, the place where a run
resumes, and batches on their device."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch

from medlight.core.sample import ON_HOST
from medlight.data.sampling import share

Augment = Callable[..., dict[str, Any]]
"""(batch, seed, epoch) to a batch: random, on the device of the batch; see `medlight.augment`."""


class TrainerHooks(pl.LightningDataModule):
    """Attributes:
    batch_size: samples in a training batch, on each device.
    augment: random, batched, training only.
    seed: of augmentation.
    """

    batch_size: int
    augment: Augment | None
    seed: int

    def __init__(self) -> None:
        super().__init__()
        self._start, self._global_batch = (0, 0), 0

    def state_dict(self) -> dict[str, Any]:
        """Where in the run a checkpoint was made: Lightning asks for batches before it says so."""
        if self.trainer is None:
            return {}
        loop: Any = self.trainer.fit_loop
        epochs, batches = loop.epoch_progress.current, loop.epoch_loop.batch_progress.current
        within = epochs.started > epochs.processed
        ranks = self._ranks()[1]
        return {
            "epoch": epochs.processed,
            "batch": batches.processed if within else 0,
            "global_batch": ranks * self._rank_batch(ranks),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.trainer is not None and self.trainer.state.fn == "fit":
            self._start = (state_dict["epoch"], state_dict["batch"])
            self._global_batch = state_dict["global_batch"]

    def _resumed(self) -> tuple[int, int]:
        """Epoch, and batch of it, that a run goes on with; asked once."""
        start, self._start = self._start, (0, 0)
        return start

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _rank_batch(self, ranks: int) -> int:
        return share(self._global_batch, ranks) if self._global_batch else self.batch_size

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Tensors move; what is needed on the host only stays: grids, references, `ON_HOST`."""
        return {
            key: value.to(device, non_blocking=True)
            if isinstance(value, torch.Tensor) and key not in ON_HOST
            else value
            for key, value in batch.items()
        }

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        if self.trainer is None or not self.trainer.training:
            return batch
        return self.augmented(batch, epoch=self.trainer.current_epoch)

    def augmented(self, batch: dict[str, Any], *, epoch: int) -> dict[str, Any]:
        """A training batch, on its device, as tasks get it: augmented, its masks int64."""
        if self.augment is not None:
            batch = self.augment(batch, seed=self.seed, epoch=epoch)
        return batch | {"mask": batch["mask"].long()} if "mask" in batch else batch
