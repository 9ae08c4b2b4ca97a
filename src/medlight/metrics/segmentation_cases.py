"""One case of a segmentation to its rows: a row for each region, a column for each metric.

Policy for empty masks. Region neither in the reference nor predicted: nothing to score, all metrics
are nan and the case is counted as left out. Only one of the two is empty, a miss or a false alarm:
Dice, IoU and NSD are 0, and distances are the diagonal of the source image, the worst there is.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from medlight.core.case_result import Row
from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.metrics.names import segmentation_policy
from medlight.metrics.surface import surface_distances

MM3_IN_ML = 1000.0


@dataclass(frozen=True, slots=True)
class SegmentationScorer:
    """What is scored, and how.

    Attributes:
        labels: how many labels a mask may hold, the background among them.
        regions: name to labels. One label each: exclusive classes. Unions of labels may overlap,
            as BraTS's whole tumour, core and enhancing tumour do.
        tolerance_mm: of the normalised surface distance.
        ignore: label of voxels in the reference that do not count, below `num_classes` or not;
            None: all count.
    """

    num_classes: int
    regions: Mapping[str, tuple[int, ...]]
    tolerance_mm: float = 1.0
    ignore: int | None = None

    def __post_init__(self) -> None:
        for name, region in self.regions.items():
            if not region or not all(0 < label < self.num_classes for label in region):
                raise ConfigError(
                    f"region {name!r} is {list(region)}, but the labels of this data are "
                    f"1 to {self.num_classes - 1}"
                )

    @classmethod
    def from_labels(
        cls,
        labels: Labels,
        *,
        regions: Mapping[str, tuple[int, ...]] | None = None,
        tolerance_mm: float = 1.0,
        ignore: int | None = None,
    ) -> "SegmentationScorer":
        """Every label but the background, unless other `regions` are given."""
        each = {name: (k,) for k, name in enumerate(labels.names) if k and k != ignore}
        return cls(len(labels), regions or each, tolerance_mm, ignore)

    @property
    def policy(self) -> str:
        return segmentation_policy(self.tolerance_mm)

    def dice_rows(
        self, case: str, prediction: NDArray[np.integer], reference: NDArray[np.integer]
    ) -> tuple[Row, ...]:
        """Score a case by Dice alone: what validation needs while a net trains.

        Args:
            case: its id.
            prediction, reference: (*S) labels.

        Returns:
            A row for each region.
        """
        table = self._confusion(prediction, reference)
        return tuple(
            {
                "case": case,
                "class": name,
                "dice": dice(*counts),
                "n_reference": counts[1],
                "n_predicted": counts[2],
            }
            for name, region in self.regions.items()
            for counts in [region_overlap(table, region)]
        )

    def rows(
        self, case: str, prediction: NDArray[np.integer], reference: NDArray[np.integer], grid: Grid
    ) -> tuple[Row, ...]:
        """Score a case by all metrics.

        Args:
            case: its id.
            prediction, reference: (*S) labels.
            grid: of the source file, where both lie.

        Returns:
            A row for each region.
        """
        table = self._confusion(prediction, reference)
        if self.ignore is not None:
            prediction = np.where(reference == self.ignore, 0, prediction)
        boxes = [find_objects(mask, self.num_classes) for mask in (prediction, reference)]
        rows = []
        for name, region in self.regions.items():
            counts = region_overlap(table, region)
            row: Row = {"case": case, "class": name, **_voxel_metrics(counts, grid)}
            if all(counts[1:]):
                window = _bounding_window([box[k - 1] for box in boxes for k in region])
                found = surface_distances(
                    _region_mask(prediction[window], region),
                    _region_mask(reference[window], region),
                    grid.spacing_mm,
                )
                row["hd95_mm"], row["assd_mm"] = found.hd95_mm, found.assd_mm
                row["nsd"] = found.nsd(self.tolerance_mm)
            rows.append(row | {"n_reference": counts[1], "n_predicted": counts[2]})
        return tuple(rows)

    def _confusion(
        self, prediction: NDArray[np.integer], reference: NDArray[np.integer]
    ) -> NDArray[np.int64]:
        if self.ignore is not None and self.ignore >= self.num_classes:  # it has no row below
            counts = reference != self.ignore
            prediction, reference = prediction[counts], reference[counts]
        table = label_confusion(prediction, reference, self.num_classes)
        if self.ignore is not None and self.ignore < self.num_classes:
            table[self.ignore] = 0
        return table


def _bounding_window(boxes: Sequence[tuple[slice, ...] | None]) -> tuple[slice, ...]:
    """The smallest window that holds all of these."""
    there = [box for box in boxes if box is not None]
    return tuple(
        slice(min(s.start for s in axis), max(s.stop for s in axis))
        for axis in zip(*there, strict=True)
    )


def _region_mask(mask: NDArray[np.integer], region: tuple[int, ...]) -> NDArray[np.bool_]:
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


VOXELS_PER_CHUNK = 2**24
"""Voxels counted in one step, which bounds memory for whole-body volumes."""


def label_confusion(
    prediction: NDArray[np.integer], reference: NDArray[np.integer], labels: int
) -> NDArray[np.int64]:
    """Count the voxels of each pair of labels.

    Args:
        prediction, reference: (*S) labels.
        labels: K, how many labels there are.

    Returns:
        (K, K): rows are the reference, columns the prediction.

    Raises:
        ValueError: shapes differ, or a label is not below `labels`.

    >>> label_confusion(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), 3).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"shapes differ: {prediction.shape} and {reference.shape}")
    for side, mask in (("prediction", prediction), ("reference", reference)):
        if mask.size and not 0 <= mask.min() <= mask.max() < labels:
            raise ValueError(
                f"the {side} holds labels from {mask.min()} to {mask.max()}, "
                f"but there are {labels} (0 to {labels - 1})"
            )
    table = np.zeros(labels * labels, np.int64)
    flat = prediction.ravel(), reference.ravel()
    for start in range(0, prediction.size, VOXELS_PER_CHUNK):
        predicted, truth = (side[start : start + VOXELS_PER_CHUNK] for side in flat)
        pairs = truth.astype(np.int32) * labels + predicted.astype(np.int32)
        table += np.bincount(pairs, minlength=labels * labels)
    return table.reshape(labels, labels)


def region_overlap(table: NDArray[np.int64], region: Collection[int]) -> tuple[int, int, int]:
    """Count the voxels of a region, a union of labels.

    Args:
        table: of `label_confusion`.
        region: its labels.

    Returns:
        Voxels in both masks, in the reference, in the prediction.

    >>> region_overlap(np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1]]), (1, 2))
    (3, 3, 3)
    """
    rows = table[list(region)]
    return int(rows[:, list(region)].sum()), int(rows.sum()), int(table[:, list(region)].sum())


def dice(both: int, reference: int, predicted: int) -> float:
    """Compute the Dice score (1945) of one region in one case.

    Args:
        both, reference, predicted: voxels in both masks, and in each.

    Returns:
        0 to 1; nan if the region is neither there nor predicted.

    >>> dice(1, 2, 1), dice(0, 3, 0), dice(0, 0, 0)
    (0.6666666666666666, 0.0, nan)
    """
    total = reference + predicted
    return 2 * both / total if total else math.nan


def iou(both: int, reference: int, predicted: int) -> float:
    """Compute intersection over union, Jaccard (1912).

    Args:
        both, reference, predicted: voxels in both masks, and in each.

    Returns:
        0 to 1; nan as `dice`.

    >>> iou(1, 2, 1), iou(0, 0, 0)
    (0.5, nan)
    """
    union = reference + predicted - both
    return both / union if union else math.nan
