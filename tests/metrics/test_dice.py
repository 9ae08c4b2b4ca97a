"""Dice of whole cases against MONAI, torchmetrics and hand cases."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric
from torchmetrics.segmentation import DiceScore

from medlight.metrics.dice import dice_rows, overlap, summarise_dice

NAMES = ("background", "liver", "tumour", "vessel")


def masks(seed: int, shape: tuple[int, ...] = (6, 7, 8)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, 4, shape, dtype=np.uint8), random.integers(0, 4, shape)


@pytest.mark.parametrize("seed", range(5))
def test_equals_monai_and_torchmetrics(seed: int) -> None:
    prediction, reference = masks(seed)
    rows = dice_rows("c", prediction, reference, NAMES)
    one_hot = [
        torch.nn.functional.one_hot(torch.from_numpy(m.astype(np.int64)), 4).movedim(-1, 0)[None]
        for m in (prediction, reference)
    ]
    monai = DiceMetric(include_background=False)(*(m.float() for m in one_hot))[0]
    torchmetrics = DiceScore(num_classes=4, include_background=False, average=None)(*one_hot)
    ours = [row["dice"] for row in rows]
    np.testing.assert_allclose(ours, monai.numpy(), rtol=1e-6)
    np.testing.assert_allclose(ours, torchmetrics.numpy().ravel(), rtol=1e-6)


def test_overlap_counts_voxels() -> None:
    prediction, reference = masks(0)
    for label, (both, in_reference, predicted) in enumerate(overlap(prediction, reference, 4)):
        assert both == np.sum((prediction == label) & (reference == label))
        assert in_reference == np.sum(reference == label)
        assert predicted == np.sum(prediction == label)


def test_empty_masks_follow_the_policy() -> None:
    nothing, something = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    both_empty = dice_rows("a", nothing, nothing, NAMES[:2])[0]
    missed = dice_rows("b", nothing, something, NAMES[:2])[0]
    invented = dice_rows("c", something, nothing, NAMES[:2])[0]
    assert math.isnan(both_empty["dice"])
    assert missed["dice"] == invented["dice"] == 0
    found = dice_rows("d", something, something, NAMES[:2])[0]
    scores = summarise_dice([both_empty, missed, invented, found], NAMES[:2])
    assert scores["dice"] == scores["dice/liver"] == pytest.approx(1 / 3)
    assert (scores["cases/liver"], scores["left_out/liver"]) == (3, 1)


def test_mean_is_over_classes_of_means_over_cases() -> None:
    rows = [
        {"case": "a", "class": "liver", "dice": 1.0},
        {"case": "b", "class": "liver", "dice": 0.0},
        {"case": "a", "class": "tumour", "dice": 1.0},
        {"case": "b", "class": "tumour", "dice": math.nan},
    ]
    assert summarise_dice(rows, NAMES[:3])["dice"] == pytest.approx((0.5 + 1.0) / 2)


def test_no_case_at_all_is_nan_not_a_crash() -> None:
    assert math.isnan(summarise_dice([], NAMES)["dice"])


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        overlap(np.zeros((2, 2), int), np.zeros((2, 3), int), 2)
