"""Predictions come home exactly where they can, and closely where voxels are resampled."""

import itertools

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from medlight.core.grid import Grid
from medlight.core.sample import Sample
from medlight.inference.restore import restore
from medlight.transforms.volume import Volume

CODES = [
    "".join(code)
    for axes in itertools.permutations(("LR", "PA", "IS"))
    for code in itertools.product(*axes)
]


def one_hot(labels: np.ndarray, count: int = 4) -> torch.Tensor:
    return (
        torch.nn.functional.one_hot(torch.from_numpy(labels).long(), count).movedim(-1, 0).float()
    )


def oriented(code: str, shape: tuple[int, int, int] = (9, 11, 7)) -> Grid:
    """A grid whose axes run along `code`, with unequal spacing and an odd origin."""
    base = np.diag([1.5, 0.8, 2.0, 1.0])
    base[:3, 3] = -31.7, 12.25, 5.5
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(code))
    return Grid(shape, base @ inv_ornt_aff(turn, shape))


@pytest.mark.parametrize("code", CODES)
def test_every_orientation_round_trips_voxel_for_voxel(code: str) -> None:
    source = oriented(code)
    assert source.orientation == code == "".join(nib.aff2axcodes(source.affine))
    labels = np.random.default_rng(1).integers(0, 4, source.shape)
    sample: Sample = {
        "image": torch.rand(1, *source.shape),
        "mask": torch.from_numpy(labels)[None],
        "source": source,
        "grid": source,
        "case": "a",
    }
    moved = Volume()(sample)
    assert moved["grid"].orientation == "RAS"
    np.testing.assert_array_equal(
        restore(one_hot(moved["mask"][0].numpy()), moved["grid"], source), labels
    )


def test_oblique_grids_round_trip_too() -> None:
    turn = np.eye(4)
    angle = np.deg2rad(20)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    source = Grid((9, 11, 7), turn @ oriented("PIL").affine)
    labels = np.random.default_rng(2).integers(0, 4, source.shape)
    sample: Sample = {
        "image": torch.rand(1, *source.shape),
        "mask": torch.from_numpy(labels)[None],
        "source": source,
        "grid": source,
        "case": "a",
    }
    moved = Volume()(sample)
    home = restore(one_hot(moved["mask"][0].numpy()), moved["grid"], source)
    np.testing.assert_array_equal(home, labels)


def test_a_crop_comes_home_with_background_around_it() -> None:
    source = oriented("LPS")
    labels = np.ones(source.shape, int)
    affine = source.affine.copy()
    affine[:3, 3] = source.to_world([[2, 3, 1]])[0]
    crop = Grid((4, 5, 3), affine)
    home = restore(one_hot(labels[2:6, 3:8, 1:4]), crop, source)
    expected = np.zeros(source.shape)
    expected[2:6, 3:8, 1:4] = 1
    np.testing.assert_array_equal(home, expected)


@pytest.mark.parametrize("ndim", [2, 3])
def test_resampled_labels_come_home_closely(ndim: int) -> None:
    shape = (40, 44, 36)[:ndim]
    source = Grid(shape, np.diag([1.0, 1.0, 1.0, 1.0]))
    centre = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")) - 18
    labels = (np.linalg.norm(centre, axis=0) < 12).astype(np.uint8)
    coarse = tuple(n // 2 for n in shape)
    affine = np.eye(4)
    affine[:ndim, :ndim] *= 2
    affine[:ndim, 3] = 0.5  # the centre of a coarse voxel lies between those of two fine ones
    blocks = torch.nn.functional.avg_pool2d if ndim == 2 else torch.nn.functional.avg_pool3d
    soft = blocks(one_hot(labels, 2)[None], 2)[0]
    assert soft.shape[1:] == coarse
    home = restore(soft, Grid(coarse, affine), source)
    assert home.shape == shape
    dice = 2 * np.sum(home * labels) / (home.sum() + labels.sum())
    assert dice >= 0.98
