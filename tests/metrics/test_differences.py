"""What docs/metrics.md says of MONAI and torchmetrics, line by line."""

import math

import numpy as np
import pytest
import torch
from monai import metrics as monai
from torchmetrics.segmentation import HausdorffDistance

from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.metrics.segmentation_cases import SegmentationScorer

# 2026-11, MONAI 1.6.1 warns of its own arguments, and of empty masks:
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*always_return_as_numpy", "ignore:the (prediction|ground truth)", "ignore:.*nan"
)

EMPTY = np.zeros((8, 8, 8), np.uint8)
CUBE = EMPTY.copy()
CUBE[2:5, 2:5, 2:5] = 1
GRID = Grid((8, 8, 8))
ALL = {"include_background": True}


def theirs(prediction: np.ndarray, reference: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(mask)[None, None].float() for mask in (prediction, reference)]


def ours(prediction: np.ndarray, reference: np.ndarray, grid: Grid = GRID) -> dict:
    scorer = SegmentationScorer.from_labels(Labels(("background", "cube"), "mask"))
    return dict(scorer.rows("c", prediction, reference, grid)[0])


def test_a_missed_structure() -> None:
    pair = theirs(EMPTY, CUBE)
    assert math.isnan(monai.compute_hausdorff_distance(*pair, percentile=95, **ALL))
    assert math.isinf(monai.compute_hausdorff_distance(*pair, **ALL))
    assert math.isinf(monai.compute_average_surface_distance(*pair, symmetric=True, **ALL))
    row = ours(EMPTY, CUBE)
    assert row["hd95_mm"] == row["assd_mm"] == pytest.approx(GRID.diagonal_mm)
    hd95 = monai.HausdorffDistanceMetric(percentile=95, **ALL)
    hd95(*pair)
    hd95(*theirs(np.roll(CUBE, 1, 0), CUBE))
    assert hd95.aggregate().item() == 1  # as if nothing had been missed


def test_overlap_with_nothing() -> None:
    assert math.isnan(monai.compute_dice(*theirs(CUBE, EMPTY)))
    assert ours(CUBE, EMPTY)["dice"] == 0
    assert monai.compute_dice(*theirs(EMPTY, EMPTY), ignore_empty=False) == 1
    assert math.isnan(ours(EMPTY, EMPTY)["dice"])


def test_thick_slices_weigh_more() -> None:
    """A plate that is moved along thin voxels, then the same in an image of thicker slices."""
    plate = np.zeros((20, 20, 20), np.uint8)
    plate[4:8] = 1
    moved = np.roll(plate, 3, 0)
    pair = theirs(moved, plate)
    found = []
    for spacing in ((1.0, 1.0, 1.0), (1.0, 1.0, 4.0)):
        grid = Grid((20, 20, 20), np.diag([*spacing, 1.0]))
        nsd = monai.compute_surface_dice(*pair, class_thresholds=[1.0], spacing=spacing, **ALL)
        found.append((ours(moved, plate, grid)["nsd"], nsd.item()))
    (thin, their_thin), (thick, their_thick) = found
    assert their_thin == pytest.approx(their_thick)  # counts voxels, whatever their size
    assert abs(thin - thick) > 0.01


def test_torchmetrics_has_no_hausdorff_distance_in_three_dimensions() -> None:
    pair = [torch.from_numpy(mask)[None, None].long() for mask in (CUBE, CUBE)]
    metric = HausdorffDistance(num_classes=1, include_background=True, input_format="one-hot")
    with pytest.raises(ValueError, match="rank"):
        metric(*pair)
