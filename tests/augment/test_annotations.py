"""Boxes and points against what is drawn where they lie."""

from typing import Any

import pytest
import torch

from medlight.augment.augment import Augment
from medlight.augment.spatial import Affine, Elastic, Flip

STEPS = {
    "flip": Flip(),
    "affine": Affine(rotate_degrees=20, scale=[0.85, 1.2], translate=0.05),
    "elastic": Elastic(magnitude=0.25),
}
SHAPES = [(48, 40), (36, 40, 32)]


def coordinates(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.stack(torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij"), -1).float()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("names", [("flip",), ("affine",), ("elastic",), tuple(STEPS)])
def test_points_move_with_the_spots_they_mark(
    shape: tuple[int, ...], names: tuple[str, ...]
) -> None:
    count, at = 8, coordinates(shape)
    point = torch.tensor([0.4 * n for n in shape])
    image = torch.exp(-((at - point) ** 2).sum(-1) / 8).expand(count, 1, *shape)
    batch: dict[str, Any] = {"image": image, "position": torch.arange(count)}
    batch["points"] = [point[None]] * count
    moved = Augment(spatial={name: STEPS[name] for name in names})(batch, seed=5, epoch=0)
    for shown, points in zip(moved["image"][:, 0], moved["points"], strict=True):
        weight = shown.square()
        centre = (at * weight[..., None]).flatten(0, -2).sum(0) / weight.sum()
        assert (centre - points[0]).norm() < 0.35


def test_points_are_exact_where_the_map_is() -> None:
    points = torch.tensor([[0.0, 3.0], [9.0, 14.0]])
    batch: dict[str, Any] = {"image": torch.zeros(1, 1, 10, 15), "position": torch.tensor([0])}
    moved = Augment(spatial={"flip": Flip(probability=1)})(
        {**batch, "points": [points]}, seed=0, epoch=0
    )
    assert torch.equal(moved["points"][0], torch.tensor([[9.0, 11.0], [0.0, 0.0]]))
    bend = Augment(spatial=STEPS)
    (there,) = bend({**batch, "points": [torch.rand(40, 2) * 6 + 2]}, seed=0, epoch=0)["points"]
    assert there.shape == (40, 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("names", [("flip",), ("affine",)])
def test_boxes_are_the_hull_of_what_they_held(
    shape: tuple[int, ...], names: tuple[str, ...]
) -> None:
    count, at = 8, coordinates(shape)
    low = torch.tensor([round(0.3 * n) - 0.5 for n in shape])
    high = torch.tensor([round(0.6 * n) - 0.5 for n in shape])
    held = ((at > low) & (at < high)).all(-1)
    batch: dict[str, Any] = {
        "image": held.float().expand(count, 1, *shape),
        "mask": held.long().expand(count, 1, *shape),
        "position": torch.arange(count),
        "boxes": [torch.cat([low, high])[None]] * count,
        "box_labels": [torch.tensor([3])] * count,
    }
    moved = Augment(spatial={name: STEPS[name] for name in names})(batch, seed=5, epoch=0)
    for mask, boxes, labels in zip(
        moved["mask"][:, 0], moved["boxes"], moved["box_labels"], strict=True
    ):
        filled = mask.nonzero().float()
        hull = torch.cat([filled.amin(0) - 0.5, filled.amax(0) + 0.5])
        assert labels.tolist() == [3]
        assert (boxes[0] - hull).abs().max() <= (0 if names == ("flip",) else 2.0)
        assert (boxes[0, : len(shape)] <= hull[: len(shape)] + 0.5).all()


def test_boxes_are_clipped_or_dropped_and_points_become_nan_outside() -> None:
    batch: dict[str, Any] = {
        "image": torch.zeros(40, 1, 20, 20),
        "position": torch.arange(40),
        "boxes": [torch.tensor([[-0.5, -0.5, 3.5, 3.5], [8.0, 8.0, 11.0, 11.0]])] * 40,
        "box_labels": [torch.tensor([1, 2])] * 40,
        "points": [torch.tensor([[1.0, 1.0], [9.5, 9.5]])] * 40,
    }
    moved = Augment(spatial={"affine": Affine(translate=0.2)})(batch, seed=0, epoch=0)
    kept = [len(boxes) for boxes in moved["boxes"]]
    assert set(kept) == {1, 2}
    for boxes, labels, points in zip(
        moved["boxes"], moved["box_labels"], moved["points"], strict=True
    ):
        assert boxes.shape == (len(labels), 4)
        assert labels[-1] == 2
        assert (boxes >= -0.5).all()
        assert (boxes <= 19.5).all()
        assert points.shape == (2, 2)
        assert not points[1].isnan().any()
        assert points[0].isnan().all() or (points[0] >= -0.5).all()
    assert any(points[0].isnan().all() for points in moved["points"])


def test_no_boxes_and_no_points_stay_none() -> None:
    batch: dict[str, Any] = {"image": torch.zeros(1, 1, 9, 9), "position": torch.tensor([0])}
    batch |= {"boxes": [torch.zeros(0, 4)], "points": [torch.zeros(0, 2)]}
    moved = Augment(spatial=STEPS)(batch, seed=0, epoch=0)
    assert moved["boxes"][0].shape == (0, 4)
    assert moved["points"][0].shape == (0, 2)
