"""Rows of cases against MONAI, torchmetrics and hand cases; the policy; regions; ignored voxels."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric, MeanIoU
from torchmetrics.segmentation import DiceScore

from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.metrics.names import CASE_METRICS
from medlight.metrics.segmentation_cases import SegmentationScorer, label_confusion
from medlight.metrics.surface import surface_distances

LABELS = Labels(("background", "liver", "tumour", "vessel"), "mask")
GRID = Grid((6, 7, 8), np.diag([-0.8, 1.3, 5.0, 1.0]))
BRATS = {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}


def masks(seed: int, shape: tuple[int, ...] = (6, 7, 8)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, 4, shape, dtype=np.uint8), random.integers(0, 4, shape)


@pytest.mark.parametrize("seed", range(3))
def test_equals_monai_and_torchmetrics(seed: int) -> None:
    prediction, reference = masks(seed)
    rows = SegmentationScorer.from_labels(LABELS).rows("c", prediction, reference, GRID)
    one_hot = [
        torch.nn.functional.one_hot(torch.from_numpy(m.astype(np.int64)), 4).movedim(-1, 0)[None]
        for m in (prediction, reference)
    ]
    floats = [mask.float() for mask in one_hot]
    ours = [row["dice"] for row in rows]
    np.testing.assert_allclose(ours, DiceMetric(include_background=False)(*floats)[0], rtol=1e-6)
    torchmetrics = DiceScore(num_classes=4, include_background=False, average=None)(*one_hot)
    np.testing.assert_allclose(ours, torchmetrics.numpy().ravel(), rtol=1e-6)
    iou = [row["iou"] for row in rows]
    np.testing.assert_allclose(iou, MeanIoU(include_background=False)(*floats)[0], rtol=1e-6)
    assert ours == [
        row["dice"]
        for row in SegmentationScorer.from_labels(LABELS).dice_rows("c", prediction, reference)
    ]


def test_every_column_by_hand() -> None:
    prediction, reference = masks(0)
    for k, row in enumerate(
        SegmentationScorer.from_labels(LABELS, tolerance_mm=2).rows("c", *masks(0), GRID), 1
    ):
        assert list(row) == ["case", "class", *CASE_METRICS, "n_reference", "n_predicted"]
        predicted, there = prediction == k, reference == k
        surface = surface_distances(predicted, there, (0.8, 1.3, 5.0))
        assert row["hd95_mm"] == pytest.approx(surface.hd95_mm)
        assert row["assd_mm"] == pytest.approx(surface.assd_mm)
        assert row["nsd"] == pytest.approx(surface.nsd(2))
        difference = int(predicted.sum()) - int(there.sum())
        assert row["volume_ml_error"] == pytest.approx(difference * 0.8 * 1.3 * 5 / 1000)
        assert row["volume_relative_error"] == pytest.approx(difference / there.sum())
        assert (row["detected"], row["n_reference"]) == (1, there.sum())


def test_empty_masks_follow_the_policy() -> None:
    nothing, something = np.zeros(GRID.shape, np.uint8), np.ones(GRID.shape, np.uint8)
    score = SegmentationScorer.from_labels(Labels(("background", "liver"), "mask"))
    (both_empty,) = score.rows("a", nothing, nothing, GRID)
    assert all(math.isnan(float(both_empty[metric])) for metric in CASE_METRICS)
    diagonal = math.sqrt((6 * 0.8) ** 2 + (7 * 1.3) ** 2 + (8 * 5) ** 2)
    (missed,) = score.rows("b", nothing, something, GRID)
    (invented,) = score.rows("c", something, nothing, GRID)
    for row in (missed, invented):
        assert [row[metric] for metric in ("dice", "iou", "nsd")] == [0, 0, 0]
        assert row["hd95_mm"] == row["assd_mm"] == pytest.approx(diagonal)
    assert (missed["detected"], missed["volume_relative_error"]) == (0, -1)
    assert missed["volume_ml_error"] == -float(invented["volume_ml_error"]) < 0
    assert math.isnan(float(invented["detected"]))
    assert math.isnan(float(invented["volume_relative_error"]))


def test_a_worse_prediction_never_has_a_better_distance() -> None:
    """As it would where a missed structure had no distance at all."""
    reference = np.zeros((20, 20, 20), np.uint8)
    reference[8:12, 8:12, 8:12] = 1
    score, grid = (
        SegmentationScorer.from_labels(Labels(("background", "a"), "mask")),
        Grid((20, 20, 20)),
    )
    found = []
    for shift in (0, 2, 5, 8):
        (row,) = score.rows("c", np.roll(reference, shift, 0), reference, grid)
        found.append(row["hd95_mm"])
    (row,) = score.rows("c", reference * 0, reference, grid)
    assert sorted([*found, row["hd95_mm"]]) == [*found, row["hd95_mm"]]


def test_regions_are_unions_of_labels_and_may_overlap() -> None:
    prediction, reference = masks(3)
    score = SegmentationScorer.from_labels(LABELS, regions=BRATS)
    rows = score.rows("c", prediction, reference, GRID)
    assert [row["class"] for row in rows] == list(BRATS)
    one = SegmentationScorer(2, {"x": (1,)})
    for row, labels in zip(rows, BRATS.values(), strict=True):
        sides = (np.isin(mask, labels).astype(np.uint8) for mask in (prediction, reference))
        (expected,) = one.rows("c", *sides, GRID)
        assert row == pytest.approx(expected | {"class": row["class"]})


def test_a_region_of_labels_that_are_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"region 'core' is \[2, 4\].* 1 to 3"):
        SegmentationScorer.from_labels(LABELS, regions={"core": (2, 4)})


def test_ignored_voxels_count_for_nothing() -> None:
    prediction, reference = masks(4)
    reference[:3] = 4
    labels = Labels((*LABELS.names, "ignore"), "mask")
    rows = SegmentationScorer.from_labels(labels, ignore=4).rows("c", prediction, reference, GRID)
    assert [row["class"] for row in rows] == ["liver", "tumour", "vessel"]
    half = Grid((3, 7, 8), GRID.affine)
    expected = SegmentationScorer.from_labels(LABELS).rows("c", prediction[3:], reference[3:], half)
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other)


def test_large_masks_are_counted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = label_confusion(*masks(1), 4)
    monkeypatch.setattr("medlight.metrics.segmentation_cases.VOXELS_PER_CHUNK", 50)
    np.testing.assert_array_equal(label_confusion(*masks(1), 4), whole)
    prediction, reference = masks(1)
    for truth, guess in np.ndindex(4, 4):
        assert whole[truth, guess] == ((reference == truth) & (prediction == guess)).sum()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        label_confusion(np.zeros((2, 2), int), np.zeros((2, 3), int), 2)
    with pytest.raises(ValueError, match="prediction holds labels from 0 to 7"):
        label_confusion(np.array([0, 7]), np.array([0, 1]), 2)


def test_images_have_no_volume() -> None:
    mask = np.ones((4, 4), np.uint8)
    (row,) = SegmentationScorer.from_labels(Labels(("background", "a"), "mask")).rows(
        "c", mask, mask, Grid((4, 4))
    )
    assert not [name for name in row if "volume" in name]
    assert (row["dice"], row["hd95_mm"], row["nsd"]) == (1, 0, 1)
