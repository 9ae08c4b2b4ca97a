"""What a data set may say of itself, where a setting says nothing."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

from medlight.core.split import Split


class StatedByData:
    """Nothing by default. A data set overrides what it knows."""

    regions: Mapping[str, Sequence[int]] | None
    ignore: int | None

    split_hint: ClassVar[str] = ""
    """What may help if no split can be made."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Name of the modality of each channel; empty where the data set does not say."""
        return ()

    @property
    def ignored_label(self) -> int | None:
        """Number of the label that is neither learnt nor scored."""
        return self.ignore

    @property
    def scored_regions(self) -> Mapping[str, Sequence[int]]:
        """Name to label numbers of what is scored, where it overlaps; empty: each label."""
        return self.regions or {}

    @cached_property
    def stated_folds(self) -> tuple[Split, ...]:
        """The folds that the data set comes with; empty: they are dealt."""
        return ()
