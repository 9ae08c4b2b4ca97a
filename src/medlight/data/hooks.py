"""What Lightning's trainer asks of data: the share of a rank, where a run resumes, batches on their
device, and loaders that go on.
"""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Sampler

from medlight.core.sample import HOST_KEYS, Sample
from medlight.data.dataset import CaseDataset, collate
from medlight.data.sampling import rank_batch_size
from medlight.transforms.preprocessor import Preprocessor

AugmentFn = Callable[..., dict[str, Any]]
"""(batch, seed, epoch) to a batch: random, on the device of the batch; see `medlight.augment`."""


class TrainerHooks(pl.LightningDataModule):
    """Attributes:
    batch_size: samples in a training batch, on each device.
    transforms: deterministic preset; random steps that it names are done before `augment`.
    augment: random, batched, training only.
    seed: of augmentation.
    """

    batch_size: int
    transforms: Preprocessor | None
    augment: AugmentFn | None
    seed: int

    def __init__(self) -> None:
        super().__init__()
        self._start, self._global_batch = (0, 0), 0

    @property
    def random_steps(self) -> list[AugmentFn]:
        """What is done to training batches, in order: random steps of `transforms`, `augment`."""
        steps = (getattr(self.transforms, "augment", None), self.augment)
        return [step for step in steps if step is not None]

    def state_dict(self) -> dict[str, Any]:
        """Where in the run a checkpoint was made: Lightning asks for batches before it says so."""
        if self.trainer is None:
            return {}
        loop: Any = self.trainer.fit_loop
        epochs, batches = loop.epoch_progress.current, loop.epoch_loop.batch_progress.current
        within = epochs.started > epochs.processed
        world_size = self._rank_and_world_size()[1]
        return {
            "epoch": epochs.processed,
            "batch": batches.processed if within else 0,
            "global_batch": world_size * self._rank_batch_size(world_size),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.trainer is not None and self.trainer.state.fn == "fit":
            self._start = (state_dict["epoch"], state_dict["batch"])
            self._global_batch = state_dict["global_batch"]

    def _resume_point(self) -> tuple[int, int]:
        """Epoch, and batch of it, that a run goes on with; asked once."""
        start, self._start = self._start, (0, 0)
        return start

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _rank_batch_size(self, world_size: int) -> int:
        return (
            rank_batch_size(self._global_batch, world_size)
            if self._global_batch
            else self.batch_size
        )

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Tensors move; what is needed on the host only stays: grids, references, `HOST_KEYS`."""
        return {
            key: value.to(device, non_blocking=True)
            if isinstance(value, torch.Tensor) and key not in HOST_KEYS
            else value
            for key, value in batch.items()
        }

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        if self.trainer is None or not self.trainer.training:
            return batch
        return self.apply_augmentation(batch, epoch=self.trainer.current_epoch)

    def apply_augmentation(self, batch: dict[str, Any], *, epoch: int) -> dict[str, Any]:
        """Turn a training batch into what tasks get: augmented, its masks int64.

        Args:
            batch: on its device.
            epoch: of the run.
        """
        for step in self.random_steps:
            batch = step(batch, seed=self.seed, epoch=epoch)
        return batch | {"mask": batch["mask"].long()} if "mask" in batch else batch


class CaseLoader(DataLoader[Sample]):
    """Worker processes stay, and share what is held in memory.

    Lightning warns of loaders that cannot resume. What comes next is not a state here, but
    follows from where the run is.
    """

    def __init__(self, dataset: CaseDataset, batches: Sampler[list[Any]], *, workers: int) -> None:
        dataset.load_into_memory()
        super().__init__(
            dataset,
            batch_sampler=batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=collate,
        )

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load."""
