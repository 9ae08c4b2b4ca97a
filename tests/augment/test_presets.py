"""Laws for every yaml in conf/augment, in 2-D and 3-D."""

from typing import Any

import pytest
import torch

from medlight.augment.augment import Augment
from medlight.augment.intensity import Contrast, GaussianNoise
from medlight.augment.spatial import Affine, Elastic, Flip

SHAPES = [(24, 20), (16, 20, 24), (8, 32, 28)]


def rows(batch: dict[str, Any], order: list[int]) -> dict[str, Any]:
    return {
        key: value[order] if isinstance(value, torch.Tensor) else [value[k] for k in order]
        for key, value in batch.items()
    }


def marked(batch: dict[str, Any]) -> dict[str, Any]:
    n = batch["image"].ndim - 2
    size = torch.tensor(batch["image"].shape[2:]).float()
    box = torch.cat([size * 0.2, size * 0.6])[None]
    count = len(batch["position"])
    points = [size[None] * torch.tensor([[0.5], [0.1]]) for _ in range(count)]
    boxes = {"boxes": [box] * count, "box_labels": [torch.tensor([1])] * count}
    return {**batch, "points": points, **boxes, "spacing_mm": torch.ones(count, n)}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_draw_gives_the_same_sample_in_any_batch_and_on_any_rank(
    preset: Augment, shape: tuple[int, ...], batch_of: Any
) -> None:
    batch = marked(batch_of(shape, 12, 2))
    whole = preset(batch, seed=1, epoch=2)
    for order in ([4, 0, 5], list(range(0, 12, 2)), list(range(1, 12, 2)), [7]):
        part = preset(rows(batch, order), seed=1, epoch=2)
        expected = rows(whole, order)
        assert part.keys() == batch.keys()
        for key in part:
            torch.testing.assert_close(part[key], expected[key], equal_nan=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_keeps_its_shapes_dtypes_labels_and_the_old_one_its_values(
    preset: Augment, shape: tuple[int, ...], batch_of: Any
) -> None:
    batch = marked(batch_of(shape, 12, 2))
    before = {k: v.clone() if isinstance(v, torch.Tensor) else list(v) for k, v in batch.items()}
    moved = preset(batch, seed=0, epoch=0)
    for key, value in batch.items():
        torch.testing.assert_close(value, before[key])
    for key in ("image", "mask"):
        assert moved[key].shape == batch[key].shape
        assert moved[key].dtype == batch[key].dtype
    assert torch.isfinite(moved["image"]).all()
    assert set(moved["mask"].unique().tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(preset: Augment, dtype: torch.dtype, batch_of: Any) -> None:
    batch = batch_of((24, 20), 12)
    exact = preset(batch, seed=0, epoch=0)["image"]
    rounded = preset({**batch, "image": batch["image"].to(dtype)}, seed=0, epoch=0)["image"]
    assert rounded.dtype == dtype
    assert (rounded.float() - exact).abs().mean() < 0.05
    assert torch.isfinite(rounded).all()


@pytest.mark.parametrize("mask", [torch.uint8, torch.int16, torch.bool])
def test_masks_of_other_types(preset: Augment, mask: torch.dtype, batch_of: Any) -> None:
    batch = batch_of((24, 20), 12)
    moved = preset({**batch, "mask": batch["mask"].to(mask)}, seed=0, epoch=0)["mask"]
    assert torch.equal(moved, preset(batch, seed=0, epoch=0)["mask"].to(mask))


@pytest.mark.parametrize("value", [0.0, 0.1, -1000.0])
def test_constant_images_stay_constant(preset: Augment, value: float) -> None:
    batch = {"image": torch.full((32, 1, 16, 12), value), "position": torch.arange(32)}
    moved = preset(batch, seed=0, epoch=0)["image"]
    assert torch.isfinite(moved).all()
    assert (moved.amax((2, 3)) - moved.amin((2, 3))).max() <= 1e-5 * max(1, abs(value))


def test_nothing_happens_when_all_is_off(batch_of: Any) -> None:
    off = Augment(
        spatial={"flip": Flip(probability=0), "elastic": Elastic(probability=0)},
        intensity={"noise": GaussianNoise(probability=0)},
    )
    batch = marked(batch_of((24, 20)))
    for augment in (off, Augment()):
        moved = augment(batch, seed=0, epoch=0)
        assert moved.keys() == batch.keys()
        assert all(moved[key] is batch[key] for key in batch)


def test_seeds_epochs_and_draws_differ(batch_of: Any) -> None:
    batch = batch_of((24, 20))
    batch["image"] = batch["image"][:1].expand(6, -1, -1, -1)
    augment = Augment(
        spatial={"affine": Affine(rotate_degrees=20)}, intensity={"noise": GaussianNoise()}
    )
    first = augment(batch, seed=1, epoch=2)["image"]
    distance = torch.cdist(first.flatten(1), first.flatten(1)) + torch.eye(6) * 1e3
    assert distance.min() > 0.1
    for seed, epoch in ((2, 2), (1, 3), (2, 1)):
        assert not torch.allclose(augment(batch, seed=seed, epoch=epoch)["image"], first)


def test_a_step_keeps_its_numbers_when_others_are_turned_off(batch_of: Any) -> None:
    flip, affine, noise = Flip(), Affine(translate=0.1), GaussianNoise(probability=0.5)
    batch = batch_of((24, 20), 16)
    both = Augment(spatial={"flip": flip, "affine": affine}, intensity={"noise": noise})
    alone = Augment(intensity={"contrast": Contrast(multiplier=[1.0, 1.0]), "noise": noise})
    added = alone(batch, seed=3, epoch=0)["image"] - batch["image"]
    quiet = Augment(spatial={"flip": flip, "affine": affine})(batch, seed=3, epoch=0)["image"]
    again = both(batch, seed=3, epoch=0)["image"] - quiet
    assert torch.equal((added != 0).any(dim=(1, 2, 3)), (again != 0).any(dim=(1, 2, 3)))
    heavy = (added * again).sum((1, 2, 3)) / (added.norm() * again.norm())
    assert heavy[added.flatten(1).any(1)].min() > 0
