"""Predictions come home exactly where they can, and closely where voxels are resampled."""

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy.ndimage import gaussian_filter, map_coordinates

from medlight.core.grid import Grid
from medlight.core.sample import Sample
from medlight.inference.resample_to_source import SourceResampler, resample_to_source
from medlight.inference.sliding_window import Slabs
from medlight.io.read import read_image
from medlight.io.write import write_mask
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


def reorient(code: str, shape: tuple[int, int, int] = (9, 11, 7)) -> Grid:
    """A grid whose axes run along `code`, with unequal spacing and an odd origin."""
    base = np.diag([1.5, 0.8, 2.0, 1.0])
    base[:3, 3] = -31.7, 12.25, 5.5
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(code))
    return Grid(shape, base @ inv_ornt_aff(turn, shape))


def resample_logits(logits: torch.Tensor, grid: Grid, source: Grid) -> np.ndarray:
    """The labels of logits that come in one part."""
    return resample_to_source(Slabs(0, iter([logits])), grid, source).labels


@pytest.mark.parametrize("code", CODES)
def test_every_orientation_round_trips_voxel_for_voxel(code: str) -> None:
    source = reorient(code)
    assert source.orientation == code == "".join(nib.aff2axcodes(source.affine))
    labels = np.random.default_rng(1).integers(0, 4, source.shape)
    sample: Sample = {
        "image": torch.rand(1, *source.shape),
        "mask": torch.from_numpy(labels)[None],
        "source_grid": source,
        "grid": source,
        "case": "a",
    }
    moved = Volume()(sample)
    assert moved["grid"].orientation == "RAS"
    np.testing.assert_array_equal(
        resample_logits(one_hot(moved["mask"][0].numpy()), moved["grid"], source), labels
    )


def test_oblique_grids_round_trip_too() -> None:
    turn = np.eye(4)
    angle = np.deg2rad(20)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    source = Grid((9, 11, 7), turn @ reorient("PIL").affine)
    labels = np.random.default_rng(2).integers(0, 4, source.shape)
    sample: Sample = {
        "image": torch.rand(1, *source.shape),
        "mask": torch.from_numpy(labels)[None],
        "source_grid": source,
        "grid": source,
        "case": "a",
    }
    moved = Volume()(sample)
    home = resample_logits(one_hot(moved["mask"][0].numpy()), moved["grid"], source)
    np.testing.assert_array_equal(home, labels)


def test_a_crop_comes_home_with_background_around_it() -> None:
    source = reorient("LPS")
    labels = np.ones(source.shape, int)
    affine = source.affine.copy()
    affine[:3, 3] = source.to_world([[2, 3, 1]])[0]
    crop = Grid((4, 5, 3), affine)
    home = resample_logits(one_hot(labels[2:6, 3:8, 1:4]), crop, source)
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
    home = resample_logits(soft, Grid(coarse, affine), source)
    assert home.shape == shape
    dice = 2 * np.sum(home * labels) / (home.sum() + labels.sum())
    assert dice >= 0.98


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("code", ["RAS", "LPI", "SPL"])
def test_interpolation_is_scipys(code: str, axis: int) -> None:
    """Against an interpolation of whole logits at every voxel, part by part along any axis."""
    source = reorient(code, (13, 9, 15))
    affine = reorient("RAS", (1, 1, 1)).affine
    start = np.min([source.to_world(np.array([c]))[0] for c in corners(source.shape)], axis=0)
    affine = np.diag([2.1, 1.3, 1.4, 1.0])
    affine[:3, 3] = start + 0.3  # the grid neither begins nor ends where the source does
    extent = np.abs(source.affine[:3, :3]) @ np.array(source.shape)
    shape = tuple(int(n) for n in extent / np.diag(affine)[:3])
    logits = torch.randn(3, *shape, generator=torch.Generator().manual_seed(4))
    parts = iter(logits.split(3, axis + 1))
    found = resample_to_source(Slabs(axis, parts), Grid(shape, affine), source, probabilities=True)
    voxels = np.stack(np.meshgrid(*map(np.arange, source.shape), indexing="ij"), -1).reshape(-1, 3)
    place = (np.linalg.inv(affine) @ np.c_[source.to_world(voxels), np.ones(len(voxels))].T)[:3]
    inside = ((place > -0.5) & (place < np.array(shape)[:, None] - 0.5)).all(0)
    held = place.clip(0, np.array(shape)[:, None] - 1)
    expected = np.stack([map_coordinates(k.numpy(), held, order=1) for k in logits])
    labels = (expected.argmax(0) * inside).reshape(source.shape)
    assert 0 < inside.mean() < 1
    assert (found.labels != labels).mean() < 1e-3  # where two classes tie
    plain = resample_to_source(
        Slabs(axis, iter(logits.split(3, axis + 1))), Grid(shape, affine), source
    )
    assert (plain.labels != found.labels).mean() < 1e-3
    p = np.where(inside, torch.from_numpy(expected).softmax(0).numpy(), [[1], [0], [0]])
    np.testing.assert_allclose(found.probabilities, p.reshape(3, *source.shape), atol=1e-5)


def corners(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(itertools.product(*((0, n - 1) for n in shape)))


def test_uncertainty_is_a_share_of_the_largest() -> None:
    grid = reorient("LPS", (4, 3, 5))
    logits = torch.zeros(4, *grid.shape)  # three classes, and what single answers were sure of
    logits[1, 0] = 50.0
    logits[3, 1] = np.log(3)
    found = resample_to_source(
        Slabs(2, iter([logits])), grid, grid, uncertainty=True, with_entropy=True
    )
    np.testing.assert_allclose(found.entropy[0], 0, atol=1e-6)
    np.testing.assert_allclose(found.entropy[1:], 1, atol=1e-6)
    np.testing.assert_allclose(found.disagreement[1], 0, atol=1e-6)
    np.testing.assert_allclose(found.disagreement[2:], 1, atol=1e-6)
    assert (found.labels[0] == 1).all()


def head(folder: Path, code: str) -> tuple[Sample, Grid]:
    """A real head in the orientation of its file, with a mask of three labels."""
    image, grid = read_image(folder / "orientations" / f"{code}.nii.gz")
    smooth = gaussian_filter(image[0], 2)
    mask = np.digitize(smooth, np.percentile(smooth, [60, 85]))[None]
    sample: Sample = {"image": torch.from_numpy(image), "mask": torch.from_numpy(mask)}
    return {**sample, "grid": grid, "source_grid": grid}, grid


ORIENTATIONS = ("ALS", "ASL", "IRP", "LAS", "LPI", "LPS", "PIR", "RAI", "RAS", "RPI", "SLA", "SPL")


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_real_files_come_home_to_the_voxel(real_data: Path, tmp_path: Path, code: str) -> None:
    sample, source = head(real_data, code)
    truth = sample["mask"][0].numpy()
    moved = Volume(orientation="RAS")(sample)
    assert moved["grid"].orientation == "RAS"
    home = resample_logits(one_hot(moved["mask"][0].numpy(), 3), moved["grid"], source)
    np.testing.assert_array_equal(home, truth)
    write_mask(tmp_path / "mask.nii.gz", home, source)
    original = nib.load(real_data / "orientations" / f"{code}.nii.gz")
    written = nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), truth)
    np.testing.assert_allclose(written.affine, original.affine, atol=1e-5)
    for key in ("sform_code", "qform_code", "xyzt_units"):
        assert written.header[key] == original.header[key]
    assert written.get_data_dtype() == np.uint8
    assert written.header.get_slope_inter() in ((1, 0), (None, None))
    texts = [
        written.header[key].item() for key in ("descrip", "aux_file", "intent_name", "db_name")
    ]
    assert (texts, len(written.header.extensions)) == ([b""] * 4, 0)

    perfect: Sample = {**sample, "image": one_hot(truth, 3)}  # of a net that knows each voxel
    coarse = Volume(spacing_mm=[1.5 * s for s in source.spacing_mm]).geometry(perfect)
    back = resample_logits(coarse["image"], coarse["grid"], source)
    assert back.shape == source.shape
    for label in (1, 2):
        one, other = back == label, truth == label
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) >= 0.98


def test_a_channel_of_a_4d_file_comes_home(tmp_path: Path) -> None:
    """A Decathlon file of several channels: its mask is 3-D, on the grid of its space."""
    source = reorient("PIR")
    values = np.random.default_rng(3).normal(size=(*source.shape, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, source.affine), tmp_path / "bratslike.nii.gz")
    image, grid = read_image(tmp_path / "bratslike.nii.gz")
    moved = Volume().geometry({"image": torch.from_numpy(image), "grid": grid, "source_grid": grid})
    home = resample_logits(moved["image"], moved["grid"], grid)
    assert grid == source
    np.testing.assert_array_equal(home, values.argmax(-1))


def test_an_oblique_source_says_how_to_get_the_mask_alone() -> None:
    sheared = np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    with pytest.raises(ValueError, match="type probabilities=false uncertainty=false"):
        SourceResampler(0, Grid((4, 4, 4)), Grid((4, 4, 4), sheared), probabilities=True)
