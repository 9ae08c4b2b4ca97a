"""Motions against SciPy, and image, mask, boxes and points against each other."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from medlight.augment import spatial, spatial_transform, warp
from medlight.augment.augment import Augment, apply_transform
from medlight.augment.random import RandomStreams
from medlight.augment.spatial import Affine, Elastic, Flip
from medlight.core.errors import ConfigError

STEPS = {
    "flip": Flip(),
    "affine": Affine(rotate_degrees=25, scale=[0.8, 1.25], translate=0.05),
    "elastic": Elastic(magnitude=0.3),
}
SHAPES = [(48, 40), (32, 40, 36)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("names", [("flip",), ("affine",), ("elastic",), tuple(STEPS)])
def test_image_and_mask_move_as_a_rendered_pair(
    shape: tuple[int, ...], names: tuple[str, ...], batch_of: Any
) -> None:
    batch = batch_of(shape)
    batch["mask"] = (batch["mask"] > 0).long()
    batch["image"] = batch["mask"].float()  # the image shows the mask
    moved = Augment(spatial={name: STEPS[name] for name in names})(batch, seed=3, epoch=1)
    shown = (moved["image"] > 0.5).long()
    agree = 2 * (shown & moved["mask"]).sum() / (shown.sum() + moved["mask"].sum())
    assert agree > 0.97
    changed = (moved["image"] != batch["image"]).flatten(1).any(1)
    assert changed.sum() >= (2 if names == ("flip",) else 6)


@pytest.mark.parametrize("shape", [(14, 11), (10, 12, 9)])
def test_interpolation_is_scipys(
    shape: tuple[int, ...], batch_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warp, "CPU_CHUNK_VOXELS", 300)  # cut, as large volumes are
    batch = batch_of(shape, 5, 2)
    rng = RandomStreams(seed=1, epoch=0, position=batch["position"])
    moving = Augment(spatial=STEPS).transform(batch, rng)
    moved = apply_transform(batch, moving)
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(
        -1, len(shape)
    )
    for k in range(5):
        assert moving.control_points is not None
        bent = voxels + spatial_transform.displacement(moving.control_points[k], voxels, shape)
        at = (bent @ moving.linear[k].T + moving.offset[k]).T
        for c in range(2):
            expected = ndimage.map_coordinates(
                batch["image"][k, c].double().numpy(), at, order=1, mode="nearest"
            )
            np.testing.assert_allclose(moved["image"][k, c].flatten(), expected, atol=2e-4)
        framed = np.pad(batch["mask"][k, 0].numpy(), 1)
        at = np.clip(np.rint(at + 1), 0, np.array(framed.shape)[:, None] - 1).astype(int)
        assert (moved["mask"][k, 0].flatten().numpy() != framed[tuple(at)]).mean() < 2e-3


def test_displacements_are_scipys_cubic_spline() -> None:
    shape, cells = (13, 17), 4
    random = np.random.default_rng(0)
    control_points, points = random.normal(size=(2, 7, 7)), random.uniform(0, 12, (50, 2))
    inner = (points + 0.5) * cells / np.array(shape) + 1
    expected = [
        ndimage.map_coordinates(c, inner.T, order=3, prefilter=False) for c in control_points
    ]
    np.testing.assert_allclose(
        spatial_transform.displacement(control_points, points, shape),
        np.array(expected).T,
        atol=1e-12,
    )


def test_the_strongest_bend_does_not_fold() -> None:
    rng = RandomStreams(seed=0, epoch=0, position=torch.arange(20))
    still = spatial_transform.SpatialTransform.identity((40, 40), np.ones((20, 2)))
    bend = Elastic(num_cells=5, magnitude=spatial.MAX_MAGNITUDE).randomize(rng, still)
    voxels = np.stack(np.meshgrid(*2 * [np.arange(40.0)], indexing="ij"), -1)
    assert bend.control_points is not None
    for control_points in bend.control_points:
        there = voxels + spatial_transform.displacement(
            control_points, voxels.reshape(-1, 2), (40, 40)
        ).reshape(40, 40, 2)
        down, right = np.diff(there, axis=0)[:, :-1], np.diff(there, axis=1)[:-1]
        assert (down[..., 0] * right[..., 1] - down[..., 1] * right[..., 0]).min() > 0


def test_flips_are_exact_alone_and_folded_into_an_affine(batch_of: Any) -> None:
    batch = batch_of((12, 10, 8))
    moved = Augment(spatial={"flip": Flip(probability=1)})(batch, seed=0, epoch=0)
    assert torch.equal(moved["image"], batch["image"].flip(2, 3, 4))
    assert torch.equal(moved["mask"], batch["mask"].flip(2, 3, 4))
    still = {"flip": Flip(probability=1), "affine": Affine()}
    folded = Augment(spatial=still)(batch, seed=0, epoch=0)
    torch.testing.assert_close(folded["image"], moved["image"], atol=1e-4, rtol=0)
    assert torch.equal(folded["mask"], moved["mask"])


@pytest.mark.parametrize(("shape", "axis"), [((12, 10, 8), 2), ((12, 10), 3)])
def test_left_right_is_the_first_axis_of_a_volume_and_the_last_of_an_image(
    shape: tuple[int, ...], axis: int, batch_of: Any
) -> None:
    batch = batch_of(shape)
    moved = Augment(spatial={"flip": Flip(probability=1, axes="left-right")})(
        batch, seed=0, epoch=0
    )
    assert torch.equal(moved["image"], batch["image"].flip(axis))


def test_a_quarter_turn_is_exact_on_unequal_sides() -> None:
    image = torch.zeros(1, 1, 9, 15)
    image[0, 0, 4, 9] = 1.0  # two voxels right of the centre
    still = spatial_transform.SpatialTransform.identity((9, 15), np.ones((1, 2)))
    quarter = still.compose(np.array([[[0.0, -1.0], [1.0, 0.0]]]), np.zeros((1, 2)))
    moved = apply_transform({"image": image}, replace(quarter, interpolated=np.array([True])))[
        "image"
    ][0, 0]
    assert moved.argmax() == (4 + 2) * 15 + 7
    assert moved.max() == pytest.approx(1.0, abs=1e-4)


def test_rotations_are_rigid_in_millimetres() -> None:
    spacing = torch.tensor([1.0, 1.0, 3.0])
    axes = torch.meshgrid(torch.arange(45.0), torch.arange(45.0), torch.arange(15.0), indexing="ij")
    mm = [(a - a.mean()) * s for a, s in zip(axes, spacing, strict=True)]
    ball = (sum(a**2 for a in mm) < 15**2).long()
    batch = {"mask": ball.expand(8, 1, -1, -1, -1), "position": torch.arange(8)}
    batch["image"] = batch["mask"].float()
    turn = Augment(spatial={"turn": Affine(rotate_degrees=45)})

    def overlap(moved: torch.Tensor) -> torch.Tensor:
        return 2 * (moved & ball).sum((1, 2, 3, 4)) / (moved.sum((1, 2, 3, 4)) + ball.sum())

    rigid = turn({**batch, "spacing_mm": spacing.expand(8, 3)}, seed=0, epoch=0)["mask"]
    assert overlap(rigid).min() > 0.95
    assert overlap(turn(batch, seed=0, epoch=0)["mask"]).min() < 0.9


def test_nnunet_turns_stacks_of_slices_in_the_plane() -> None:
    assert spatial.nnunet_degrees((64, 64)) == (180,)
    assert spatial.nnunet_degrees((64, 128)) == (15,)
    assert spatial.nnunet_degrees((40, 56, 40)) == (30, 30, 30)
    assert spatial.nnunet_degrees((128, 128, 20)) == (0, 0, 180)
    rng = RandomStreams(seed=0, epoch=0, position=torch.arange(9))
    still = spatial_transform.SpatialTransform.identity((128, 128, 20), np.ones((9, 3)))
    step = Affine(rotate_degrees="nnunet", scale=[0.7, 1.4], in_plane=True)
    linear = step.randomize(rng, still).linear
    np.testing.assert_allclose(linear[:, 2], np.tile([0, 0, 1], (9, 1)), atol=1e-12)
    area = np.linalg.det(linear)
    assert 0.49 <= area.min() < 1 < area.max() <= 1.96


@pytest.mark.parametrize(
    "make",
    [
        lambda: Flip(axes="both"),
        lambda: Affine(rotate_degrees="far"),
        lambda: Affine(scale=[1.2, 0.8]),
        lambda: Elastic(magnitude=0.6),
    ],
)
def test_ranges_are_checked(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()
