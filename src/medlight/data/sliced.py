"""What `data.slices` and `data.slice_labels` make of a data set of volumes."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from medlight.core.case_result import Row
from medlight.core.errors import ConfigError
from medlight.core.index import Index
from medlight.core.labels import Labels
from medlight.core.natural_order import natural_key
from medlight.core.split import Split
from medlight.data.dataset import CaseDataset
from medlight.data.slice_dataset import LabelledSlices, SliceDataset
from medlight.data.slice_labels import SliceLabels, volume_of
from medlight.transforms.slices import check_plane


class SlicedByPlane:
    """Nothing, where `slices` is None."""

    slices: str | None
    slice_labels: str | None
    spatial_dims: ClassVar[int]
    if TYPE_CHECKING:  # of the data set

        @cached_property
        def full_index(self) -> Index: ...
        @cached_property
        def cases(self) -> Index: ...
        @cached_property
        def split(self) -> Split: ...

    @cached_property
    def _slice_labels(self) -> SliceLabels | None:
        setting = self.slice_labels
        return None if setting is None else SliceLabels.read(str(setting), self.full_index)

    @property
    def net_dims(self) -> int:
        """Spatial axes of what a net sees."""
        return 2 if self.slices else self.spatial_dims

    @property
    def target_labels(self) -> Labels:
        """Of what a net learns: cases, or slices."""
        return self.cases.labels if self._slice_labels is None else self._slice_labels.labels

    def check_slices(self) -> None:
        """Raises ConfigError where there are none to cut."""
        check_plane(self.slices, self.spatial_dims)
        if self.slice_labels is not None and self.slices is None:
            raise ConfigError(
                f"data.slice_labels={self.slice_labels} needs a plane: type data.slices=axial"
            )

    @property
    def dataset_class(self) -> Callable[..., CaseDataset]:
        """What makes samples of cases."""
        if self._slice_labels is not None:
            return partial(LabelledSlices.labelled, labels=self._slice_labels)
        return SliceDataset if self.slices else CaseDataset

    def case_of(self, sample: str) -> str:
        """The case that a row of cases.csv is about: of a slice, its volume."""
        return sample if self.slice_labels is None else volume_of(sample)

    def in_test_order(self, rows: Sequence[Row]) -> list[Row]:
        """Rows as the test cases follow each other in the split, and slices in their volume."""
        place = {case: number for number, case in enumerate(self.split.test)}

        def key(row: Row) -> Any:
            name = str(row["case"])
            return place[self.case_of(name)], natural_key(name)

        return sorted(rows, key=key)


def check_every_class(
    slice_labels: str | None, counts: Sequence[int] | None, labels: Labels
) -> None:
    """Refuse training slices without one of the classes: no score would tell.

    Args:
        slice_labels: as typed; None: there are none.
        counts: training slices of each class.
        labels: the classes.

    Raises:
        ConfigError: one of them is not there.
    """
    if slice_labels is not None and 0 in (counts or ()):
        raise ConfigError(
            f"data.slice_labels={slice_labels}: no training slice is "
            f"{labels.names[(counts or ()).index(0)]!r}; choose another fold, or other labels"
        )
