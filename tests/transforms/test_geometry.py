"""The volume preset against MONAI's transforms, and its two halves against each other."""

import hashlib

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, NormalizeIntensity, Orientation, ScaleIntensityRange, Spacing

from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.intensity import IntensityStatistics
from medlight.core.sample import Sample
from medlight.io.store.store import STORE_VERSION
from medlight.transforms.volume import Volume

RANDOM = np.random.default_rng(0)


def sample(*, oblique: bool = False, shear: float = 0.0) -> Sample:
    shape = tuple(int(n) for n in RANDOM.integers(8, 24, 3))
    turn, _ = np.linalg.qr(RANDOM.normal(size=(3, 3)))
    if not oblique:
        turn = np.eye(3)[RANDOM.permutation(3)] * RANDOM.choice([-1, 1], 3)
    affine = np.eye(4)
    affine[:3, :3] = turn * RANDOM.uniform(0.5, 3, 3)
    affine[:3, 0] += shear * affine[:3, 1]
    affine[:3, 3] = RANDOM.normal(size=3) * 50
    return {
        "image": torch.from_numpy(RANDOM.normal(size=(2, *shape)).astype(np.float32)),
        "mask": torch.from_numpy(RANDOM.integers(0, 4, (1, *shape))),
        "grid": Grid(shape, affine),
    }


def by_monai(given: Sample, key: str, spacing: tuple[float, ...] | None) -> MetaTensor:
    steps = [Orientation("RAS", labels=None)]
    if spacing is not None:
        steps.append(Spacing(spacing, mode="nearest" if key == "mask" else "bilinear"))
    voxels = given[key].double() if key == "mask" else given[key]  # type: ignore[literal-required]
    return Compose(steps)(MetaTensor(voxels, affine=torch.from_numpy(given["grid"].affine)))


@pytest.mark.parametrize("trial", range(12))
@pytest.mark.parametrize("resample", [False, True])
def test_geometry_is_that_of_monai(trial: int, resample: bool) -> None:
    given = sample(oblique=trial % 2 == 1)
    spacing = tuple(float(s) for s in RANDOM.uniform(0.5, 3, 3)) if resample else None
    moved = Volume(spacing_mm=spacing).geometry(given)
    image, mask = (by_monai(given, key, spacing) for key in ("image", "mask"))
    assert moved["grid"].shape == image.shape[1:]
    np.testing.assert_allclose(moved["grid"].affine, image.affine.numpy(), atol=1e-9)
    span = float(image.max() - image.min())
    assert float((image.as_tensor() - moved["image"]).abs().max()) <= 1e-6 * span
    assert torch.equal(mask.as_tensor().long(), moved["mask"])
    assert moved["mask"].dtype == torch.int64


def test_shear_is_left_to_monai() -> None:
    given = sample(shear=0.2)
    moved = Volume(spacing_mm=(1, 1, 1)).geometry(given)
    image = by_monai(given, "image", (1, 1, 1))
    np.testing.assert_allclose(moved["image"], image.as_tensor(), atol=1e-5)
    np.testing.assert_allclose(moved["grid"].affine, image.affine.numpy())


@pytest.mark.parametrize("spacing", [None, (1.0005, 2.0, 3.0)])
def test_a_spacing_that_is_there_already_changes_no_voxel(spacing: tuple | None) -> None:
    image = torch.from_numpy(RANDOM.normal(size=(1, 4, 5, 6)).astype(np.float32))
    grid = Grid((4, 5, 6), np.diag([1, 2, 3, 1.0]))
    moved = Volume(spacing_mm=spacing).geometry({"image": image, "grid": grid})
    assert torch.equal(moved["image"], image)
    assert moved["grid"] == grid


def test_one_voxel_thin() -> None:
    image = torch.ones((1, 1, 5, 1))
    grid = Grid((1, 5, 1))
    moved = Volume(spacing_mm=(0.5, 0.5, 3)).geometry({"image": image, "grid": grid})
    assert moved["image"].shape == (1, 1, 9, 1)
    assert (moved["image"] == 1).all()


@pytest.mark.parametrize("codes", ["RA", "RAX", "RRS", "", "RLS"])
def test_an_orientation_that_does_not_exist(codes: str) -> None:
    with pytest.raises(ConfigError, match=r"transforms\.orientation"):
        Volume(orientation=codes).geometry(sample())


@pytest.mark.parametrize("constant", [False, True])
def test_intensities_are_those_of_monai(constant: bool) -> None:
    given = sample()
    given["image"] = given["image"] * 300 if not constant else torch.full_like(given["image"], 7)
    seen = Volume()({**given, "modality": ("CT", "MRI")})["image"]
    moved = Volume().geometry(given)["image"]
    window = ScaleIntensityRange(-200, 300, b_min=0, b_max=1, clip=True)
    expected = torch.stack(
        [torch.as_tensor(window(moved[0])), torch.as_tensor(NormalizeIntensity()(moved[1]))]
    )
    np.testing.assert_allclose(seen, expected, atol=2e-6)


def test_the_map_of_a_patch_is_that_of_the_whole() -> None:
    volume, given = Volume(), sample()
    moved = volume.geometry(given)["image"].numpy()
    statistics = IntensityStatistics.of(moved)
    whole = volume.intensity(statistics, ("CT", "MRI")).apply(moved.copy())
    patch = volume.intensity(statistics, ("CT", "MRI")).apply(moved[:, 2:5, 1:7, 3:].copy())
    np.testing.assert_array_equal(patch, whole[:, 2:5, 1:7, 3:])


def test_what_is_stored_has_a_golden_hash() -> None:
    """Where it changes, raise `STORE_VERSION` and write the new one down: old stores are wrong."""
    random = np.random.default_rng(0)
    given: Sample = {
        "image": torch.from_numpy(random.normal(size=(1, 9, 8, 7)).astype(np.float32)),
        "mask": torch.from_numpy(random.integers(0, 4, (1, 9, 8, 7))),
        "grid": Grid((9, 8, 7), np.diag([-0.7, 1.3, 2.0, 1.0])[[1, 0, 2, 3]]),
    }
    moved = Volume(spacing_mm=(1, 1, 1)).geometry(given)
    image = (moved["image"] * 2**12).round().int().numpy()
    found = hashlib.sha256(image.tobytes() + moved["mask"].numpy().tobytes()).hexdigest()[:16]
    assert (STORE_VERSION, found) == (4, "ff2040fe723ad4fa")


def test_the_recipe_is_geometry_only() -> None:
    assert Volume(window_hu=(0, 1)).recipe == Volume().recipe
    assert Volume(spacing_mm=(1, 1, 1)).recipe != Volume().recipe
    assert Volume(spacing_mm=(1, 1, 1)).recipe == Volume(spacing_mm=[1.0, 1.0, 1.0]).recipe
