"""Loaders that Lightning takes for what they are: resumable."""

from typing import Any

from torch.utils.data import DataLoader

from medlight.core.sample import Sample


class Loader(DataLoader[Sample]):
    """Lightning warns of loaders that cannot resume. What comes next is not a state here, but
    follows from where the run is."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load."""
