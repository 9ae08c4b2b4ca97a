"""The loader of every side: torch's, for cases that come as batches."""

from typing import Any

from torch.utils.data import DataLoader, Sampler

from medlight.core.sample import Sample
from medlight.data.dataset import CaseDataset, collate


class Loader(DataLoader[Sample]):
    """Worker processes stay, and share what is held in memory.

    Lightning warns of loaders that cannot resume. What comes next is not a state here, but
    follows from where the run is.
    """

    def __init__(self, dataset: CaseDataset, batches: Sampler[list[Any]], *, workers: int) -> None:
        _ = dataset.held  # before worker processes start, which then share it
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
