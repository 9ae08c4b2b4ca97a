"""Presets: intensities by modality, masks by nearest neighbour, and grids that stay true."""

from typing import Any

import numpy as np
import pytest
import torch

from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.sample import Sample
from medlight.transforms.radiograph import Radiograph
from medlight.transforms.volume import Volume


def sample_of(image: torch.Tensor, mask: torch.Tensor, grid: Grid, *modality: str) -> Sample:
    return {
        "image": image, "mask": mask, "source_grid": grid, "grid": grid,
        "modality": modality, "case": "a",
    }  # fmt: skip


def test_ct_is_windowed_and_mr_is_standardised_channel_by_channel() -> None:
    shape = (6, 7, 8)
    image = torch.randn(3, *shape) * 500 + 100
    moved = Volume(window_hu=(-100, 300))(
        sample_of(image, torch.zeros(1, *shape).long(), Grid(shape), "CT", "MRI", "T1w contrast")
    )["image"]
    torch.testing.assert_close(moved[0], ((image[0] + 100) / 400).clamp(0, 1))
    for k in (1, 2):
        expected = (image[k] - image[k].mean()) / image[k].std(correction=0)
        torch.testing.assert_close(moved[k], expected, rtol=1e-4, atol=1e-4)


def test_a_constant_volume_stays_finite() -> None:
    shape = (5, 5, 5)
    sample = sample_of(torch.full((1, *shape), 25.0), torch.zeros(1, *shape).long(), Grid(shape))
    assert torch.equal(Volume()(sample)["image"], torch.zeros(1, *shape))


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR"])
def test_a_voxel_keeps_its_place_in_the_world(orientation: str) -> None:
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, -3.0, 11], [0, 0, 0, 1]])
    grid = Grid((9, 8, 7), affine)
    mask = torch.zeros(1, 9, 8, 7).long()
    mask[0, 2, 3, 4] = 1
    moved = Volume(orientation=orientation)(sample_of(torch.rand(1, 9, 8, 7), mask, grid))
    assert moved["grid"].orientation == orientation
    [there] = moved["mask"][0].nonzero().numpy()
    np.testing.assert_allclose(moved["grid"].to_world([there]), grid.to_world([[2, 3, 4]]))


def test_spacing_resamples_and_masks_keep_their_labels() -> None:
    grid = Grid((20, 20, 10), np.diag([1.0, 1.0, 3.0, 1.0]))
    mask = torch.randint(0, 2, (1, 20, 20, 10)) * 3
    moved = Volume(spacing_mm=(2, 2, 2))(sample_of(torch.rand(1, 20, 20, 10), mask, grid))
    np.testing.assert_allclose(moved["grid"].spacing_mm, (2, 2, 2), atol=1e-3)
    assert moved["image"].shape[1:] == moved["grid"].shape == moved["mask"].shape[1:]
    assert set(moved["mask"].unique().tolist()) <= {0, 3}


def test_an_axis_without_a_spacing_keeps_its_own() -> None:
    grid = Grid((20, 20, 10), np.diag([1.0, 1.0, 3.0, 1.0]))
    image, mask = torch.rand(1, 20, 20, 10), torch.randint(0, 2, (1, 20, 20, 10))
    moved = Volume(spacing_mm=(2, 2, None)).geometry(sample_of(image, mask, grid))
    np.testing.assert_allclose(moved["grid"].spacing_mm, (2, 2, 3))
    for number in range(10):
        one = slice(number, number + 1)
        thin = sample_of(image[..., one], mask[..., one], Grid((20, 20, 1), grid.affine))
        alone = Volume(spacing_mm=(2, 2, 3)).geometry(thin)
        assert torch.equal(moved["image"][..., one], alone["image"])
        assert torch.equal(moved["mask"][..., one], alone["mask"])


def test_images_come_to_one_size_with_masks_beside_them() -> None:
    grid = Grid((48, 80))
    mask = torch.zeros(1, 48, 80).long()
    mask[0, 12:36, 20:60] = 2
    image = (mask > 0).float()
    moved = Radiograph(size=(24, 40))(sample_of(image, mask, grid))
    assert moved["image"].shape == moved["mask"].shape == (1, 24, 40)
    assert moved["grid"].shape == (24, 40)
    assert set(moved["mask"].unique().tolist()) == {0, 2}
    assert ((moved["image"] > 0.5) == (moved["mask"] > 0)).float().mean() > 0.97
    assert moved["source_grid"] == grid


def test_images_of_the_right_size_are_left_alone() -> None:
    sample = sample_of(torch.rand(1, 64, 64), torch.zeros(1, 64, 64).long(), Grid((64, 64)))
    assert Radiograph(size=(64, 64))(sample) is sample
    assert Radiograph(size=None)(sample) is sample


def test_a_preset_of_pictures_refuses_a_volume() -> None:
    sample = sample_of(np.zeros((1, 4, 5, 6)), np.zeros((1, 4, 5, 6)), Grid((4, 5, 6)))
    with pytest.raises(ConfigError, match="type transforms=volume"):
        Radiograph().geometry(sample)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"window_hu": [300, -200]}, r"window_hu must be \[lower, upper\], got \[300, -200\]"),
        ({"window_hu": [100, 100]}, r"window_hu must be \[lower, upper\]"),
        ({"window_hu": [-200]}, r"window_hu must be 2 numbers, got \[-200\]"),
        ({"spacing_mm": [1, 1]}, r"spacing_mm must be 3 numbers, got \[1, 1\]"),
        ({"spacing_mm": 2}, r"spacing_mm must be 3 numbers, got 2"),
    ],
)
def test_windows_and_spacings_that_are_none(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Volume(**setting)
