"""Augmentation: image and mask together, each sample its own, the same for the same draw."""

import math

import pytest
import torch

from medlight.augment import spatial
from medlight.augment.augment import Augment
from medlight.augment.random import Draws

STANDARD = Augment(
    flip=0.5,
    affine=0.8,
    rotate_degrees=15,
    scale=0.15,
    shift=0.05,
    intensity=0.8,
    brightness=0.2,
    contrast=0.25,
    gamma=0.3,
    noise=0.1,
)
SPATIAL = Augment(flip=0.5, affine=1.0, rotate_degrees=25, scale=0.2, shift=0.05)


def ball(shape: tuple[int, ...], radius: float, centre: float) -> torch.Tensor:
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float) for n in shape), indexing="ij")
    return sum((a - n * centre) ** 2 for a, n in zip(axes, shape, strict=True)) < radius**2


def batch_of(shape: tuple[int, ...], count: int = 6) -> dict[str, torch.Tensor]:
    mask = (ball(shape, 9, 0.5) | ball(shape, 5, 0.25)).long()
    image = torch.randn(count, 1, *shape, generator=torch.Generator().manual_seed(0))
    return {
        "image": image,
        "mask": mask.expand(count, 1, *shape).clone(),
        "draw": torch.arange(count),
    }


@pytest.mark.parametrize("shape", [(48, 40), (32, 40, 36)])
def test_image_and_mask_move_as_a_rendered_pair(shape: tuple[int, ...]) -> None:
    batch = batch_of(shape)
    batch["image"] = batch["mask"].float()  # the image shows the mask
    moved = SPATIAL(batch, seed=3, epoch=1)
    shown = (moved["image"] > 0.5).long()
    agree = 2 * (shown & moved["mask"]).sum() / (shown.sum() + moved["mask"].sum())
    assert agree > 0.97
    assert (moved["mask"] != batch["mask"]).any(dim=tuple(range(1, 2 + len(shape)))).all()


@pytest.mark.parametrize("shape", [(24, 20), (16, 20, 24)])
def test_the_same_draw_gives_the_same_sample_in_any_batch(shape: tuple[int, ...]) -> None:
    batch = batch_of(shape)
    whole = STANDARD(batch, seed=1, epoch=2)
    order = [4, 0, 5]
    part = STANDARD({k: v[order] for k, v in batch.items()}, seed=1, epoch=2)
    for key in ("image", "mask"):
        torch.testing.assert_close(part[key], whole[key][order], rtol=1e-5, atol=1e-5)
    for other in (STANDARD(batch, seed=2, epoch=2), STANDARD(batch, seed=1, epoch=3)):
        assert not torch.allclose(other["image"], whole["image"])


def test_samples_differ_from_each_other() -> None:
    batch = batch_of((24, 20))
    batch["image"] = batch["image"][:1].expand(6, -1, -1, -1).clone()
    moved = STANDARD(batch, seed=0, epoch=0)["image"].flatten(1)
    distance = torch.cdist(moved, moved) + torch.eye(6) * 1e3
    assert distance.min() > 0.1


def test_everything_off_changes_nothing() -> None:
    batch = batch_of((24, 20))
    moved = Augment()(batch, seed=0, epoch=0)
    assert torch.equal(moved["image"], batch["image"])
    assert torch.equal(moved["mask"], batch["mask"])


def test_a_flip_is_exact() -> None:
    batch = batch_of((12, 10, 8))
    moved = Augment(flip=1.0)(batch, seed=0, epoch=0)
    assert torch.equal(moved["image"], batch["image"].flip(2, 3, 4))
    assert torch.equal(moved["mask"], batch["mask"].flip(2, 3, 4))


def test_a_quarter_turn_is_exact_on_unequal_sides() -> None:
    """Voxel units: a rotation stays a rotation where the image is not square."""
    image = torch.zeros(1, 1, 9, 15)
    image[0, 0, 4, 9] = 1.0  # two voxels right of the centre
    matrices = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    batch = {"image": image, "draw": torch.zeros(1, dtype=torch.long)}
    moved = spatial.affine(batch, matrices, torch.tensor([True]))["image"][0, 0]
    assert moved.argmax() == (4 + 2) * 15 + 7
    assert moved.max() == pytest.approx(1.0, abs=1e-4)


def test_constant_images_stay_finite() -> None:
    batch = {"image": torch.full((3, 1, 16, 16), 0.1), "draw": torch.arange(3)}
    assert torch.isfinite(STANDARD(batch, seed=0, epoch=0)["image"]).all()


def test_draws_are_uniform_normal_and_independent() -> None:
    draws = Draws(seed=1, epoch=2, draw=torch.arange(2000))
    u = draws.uniform(500).double()
    assert (u >= 0).all()
    assert (u < 1).all()
    assert u.mean() == pytest.approx(0.5, abs=2e-3)
    assert u.var() == pytest.approx(1 / 12, abs=1e-3)
    bins = torch.histc(u.flatten(), bins=64, min=0, max=1) / (u.numel() / 64)
    assert (bins - 1).abs().max() < 0.05
    neighbours = torch.corrcoef(torch.stack([u[:, :-1].flatten(), u[:, 1:].flatten()]))[0, 1]
    samples = torch.corrcoef(torch.stack([u[:-1].flatten(), u[1:].flatten()]))[0, 1]
    assert max(abs(neighbours), abs(samples)) < 5e-3
    n = draws.normal(500).double()
    assert n.mean() == pytest.approx(0, abs=5e-3)
    assert n.std() == pytest.approx(1, abs=5e-3)
    assert (n.abs() > 2).double().mean() == pytest.approx(math.erfc(2 / math.sqrt(2)), abs=2e-3)


@pytest.mark.parametrize(("shape", "axis"), [((12, 10, 8), 2), ((12, 10), 3)])
def test_left_right_is_the_first_axis_of_a_volume_and_the_last_of_an_image(
    shape: tuple[int, ...], axis: int
) -> None:
    batch = batch_of(shape)
    moved = Augment(flip=1.0, flip_axes="left-right")(batch, seed=0, epoch=0)
    assert torch.equal(moved["image"], batch["image"].flip(axis))
