"""One case of a segmentation to its rows: a row for each region, a column for each metric.

Policy for empty masks. Region neither in the reference nor predicted: nothing to score, all metrics
are nan and the case is counted as left out. Only one of the two is empty, a miss or a false alarm:
Dice, IoU and NSD are 0, and distances are the diagonal of the source image, the worst there is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from medlight.core.case_result import Row
from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.metrics.dice import dice, iou, joint_counts, overlap
from medlight.metrics.names import segmentation_policy
from medlight.metrics.surface import borders

MM3_IN_ML = 1000.0


@dataclass(frozen=True, slots=True)
class Scoring:
    """What is scored, and how.

    Attributes:
        labels: how many labels a mask may hold, the background among them.
        regions: name to labels. One label each: exclusive classes. Unions of labels may overlap,
            as BraTS's whole tumour, core and enhancing tumour do.
        tolerance_mm: of the normalised surface distance.
        ignore: label of voxels in the reference that do not count; None: all count.
    """

    labels: int
    regions: Mapping[str, tuple[int, ...]]
    tolerance_mm: float = 1.0
    ignore: int | None = None

    def __post_init__(self) -> None:
        for name, region in self.regions.items():
            if not region or not all(0 < label < self.labels for label in region):
                raise ConfigError(
                    f"region {name!r} is {list(region)}, but the labels of this data are "
                    f"1 to {self.labels - 1}"
                )

    @classmethod
    def of(
        cls,
        labels: Labels,
        *,
        regions: Mapping[str, tuple[int, ...]] | None = None,
        tolerance_mm: float = 1.0,
        ignore: int | None = None,
    ) -> "Scoring":
        """Every label but the background, unless other `regions` are given."""
        each = {name: (k,) for k, name in enumerate(labels.names) if k and k != ignore}
        return cls(len(labels), regions or each, tolerance_mm, ignore)

    @property
    def policy(self) -> str:
        return segmentation_policy(self.tolerance_mm)

    def dice_rows(
        self, case: str, prediction: NDArray[np.integer], reference: NDArray[np.integer]
    ) -> tuple[Row, ...]:
        """Rows with Dice alone: what validation needs while a net trains."""
        table = self._counted(prediction, reference)
        return tuple(
            {
                "case": case,
                "class": name,
                "dice": dice(*counts),
                "n_reference": counts[1],
                "n_predicted": counts[2],
            }
            for name, region in self.regions.items()
            for counts in [overlap(table, region)]
        )

    def rows(
        self, case: str, prediction: NDArray[np.integer], reference: NDArray[np.integer], grid: Grid
    ) -> tuple[Row, ...]:
        """Rows with all metrics, from (*S) label indices on the grid of the source file."""
        table = self._counted(prediction, reference)
        if self.ignore is not None:
            prediction = np.where(reference == self.ignore, 0, prediction)
        boxes = [find_objects(mask, self.labels) for mask in (prediction, reference)]
        rows = []
        for name, region in self.regions.items():
            counts = overlap(table, region)
            row: Row = {"case": case, "class": name, **_voxel_metrics(counts, grid)}
            if all(counts[1:]):
                window = _around([box[k - 1] for box in boxes for k in region])
                found = borders(
                    _inside(prediction[window], region),
                    _inside(reference[window], region),
                    grid.spacing_mm,
                )
                row["hd95_mm"], row["assd_mm"] = found.hd95_mm, found.assd_mm
                row["nsd"] = found.nsd(self.tolerance_mm)
            rows.append(row | {"n_reference": counts[1], "n_predicted": counts[2]})
        return tuple(rows)

    def region_rows(
        self, case: str, prediction: NDArray[np.bool_], reference: NDArray[np.bool_], grid: Grid
    ) -> tuple[Row, ...]:
        """`rows` from (K, *S) masks, one for each region, that may overlap in any way."""
        if not prediction.shape == reference.shape == (len(self.regions), *grid.shape):
            raise ValueError(
                f"expected masks of shape {(len(self.regions), *grid.shape)}, one for each region; "
                f"got {prediction.shape} and {reference.shape}"
            )
        one = Scoring(2, {"": (1,)}, self.tolerance_mm)
        rows = []
        for name, predicted, truth in zip(self.regions, prediction, reference, strict=True):
            (row,) = one.rows(case, predicted.view(np.uint8), truth.view(np.uint8), grid)
            rows.append(row | {"class": name})
        return tuple(rows)

    def _counted(
        self, prediction: NDArray[np.integer], reference: NDArray[np.integer]
    ) -> NDArray[np.int64]:
        table = joint_counts(prediction, reference, self.labels)
        if self.ignore is not None:
            table[self.ignore] = 0
        return table


def _around(boxes: Sequence[tuple[slice, ...] | None]) -> tuple[slice, ...]:
    """The smallest window that holds all of these."""
    there = [box for box in boxes if box is not None]
    return tuple(
        slice(min(s.start for s in axis), max(s.stop for s in axis))
        for axis in zip(*there, strict=True)
    )


def _inside(mask: NDArray[np.integer], region: tuple[int, ...]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = mask == region[0] if len(region) == 1 else np.isin(mask, region)
    return inside


def _voxel_metrics(counts: tuple[int, int, int], grid: Grid) -> Row:
    """What counts of voxels say, and the policy's distances where a mask is empty."""
    both, reference, predicted = counts
    nothing = math.nan if not reference + predicted else 0.0
    row: Row = {
        "dice": dice(*counts),
        "iou": iou(*counts),
        "hd95_mm": nothing if math.isnan(nothing) else grid.diagonal_mm,
        "assd_mm": nothing if math.isnan(nothing) else grid.diagonal_mm,
        "nsd": nothing,
    }
    if grid.ndim == 3:
        voxel_ml = float(np.prod(grid.spacing_mm)) / MM3_IN_ML
        row["volume_ml_error"] = (predicted - reference) * voxel_ml + nothing
        row["volume_relative_error"] = predicted / reference - 1 if reference else math.nan
    row["detected"] = float(both > 0) if reference else math.nan
    return row
