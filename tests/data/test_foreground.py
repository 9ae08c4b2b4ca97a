"""Patches aimed at the foreground: often enough, evenly, and inside the case."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from medlight.core.errors import ConfigError
from medlight.data.patch import ForegroundSampler
from medlight.data.sampling import SampleIndex, rng_of
from medlight.datasets.phantom import PhantomDataModule
from medlight.io.store.case_file import MAX_PER_CLASS, class_locations
from medlight.io.store.store import Store
from medlight.transforms.volume import Volume


def blobs(shape: tuple[int, ...], labels: int, *, seed: int) -> np.ndarray:
    """Labels of very different volumes, and much background."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    cuts = np.quantile(noise, 1 - 0.3 * 4.0 ** -np.arange(labels))
    mask: np.ndarray = np.digitize(noise, cuts).astype(np.uint8)[np.newaxis]
    return mask


@pytest.mark.parametrize("shape", [(40, 30), (30, 24, 28), (5, 1, 7)])
def test_marks_are_voxels_of_their_label(shape: tuple[int, ...]) -> None:
    mask = blobs(shape, 3, seed=1)
    drawn = class_locations(mask)
    assert drawn.shape[1] == 1 + len(shape)
    np.testing.assert_array_equal(mask[0][tuple(drawn[:, 1:].T)], drawn[:, 0])
    np.testing.assert_array_equal(drawn, class_locations(mask.copy()))
    assert len(np.unique(drawn, axis=0)) == len(drawn)
    for label in np.unique(mask[mask > 0]):
        voxels = int((mask == label).sum())
        assert (drawn[:, 0] == label).sum() == min(MAX_PER_CLASS, voxels)
    assert (drawn[:, 0] == 0).any()


def test_marks_lie_all_over_a_label() -> None:
    """Their mean is the label's, within what chance allows."""
    mask = np.zeros((1, 40, 50, 60), np.uint8)
    mask[0, 5:35, 7:47, 9:59] = 4
    found = class_locations(mask)
    inside = found[found[:, 0] == 4][:, 1:]
    expected = np.argwhere(mask[0] == 4)
    error = np.abs(inside.mean(0) - expected.mean(0)) / (expected.std(0) / np.sqrt(MAX_PER_CLASS))
    assert (error < 4).all()


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.33, 0.5, 1.0])
def test_the_share_is_kept_in_every_run_of_draws(fraction: float) -> None:
    known = class_locations(blobs((20, 20, 20), 3, seed=2))
    aimed = [
        ForegroundSampler(fraction).sample_centre(lambda: known, position, rng_of(0, 0, position))
        is not None
        for position in range(400)
    ]
    for start in range(0, 400 - 12):
        assert abs(sum(aimed[start : start + 12]) - 12 * fraction) <= 1


def test_every_label_is_aimed_at_equally_often() -> None:
    """Although one is sixteen times as large as another."""
    mask = blobs((30, 30, 30), 3, seed=3)
    known = class_locations(mask)
    hit = [
        ForegroundSampler(1.0).sample_centre(lambda: known, position, rng_of(0, 0, position))
        for position in range(900)
    ]
    labels = np.array([mask[0][tuple(voxel)] for voxel in hit if voxel is not None])
    counts = np.bincount(labels, minlength=4)
    assert counts[0] == 0
    assert (np.abs(counts[1:] - 300) < 60).all()  # four standard deviations


def test_without_a_foreground_any_place_will_do() -> None:
    empty = class_locations(np.zeros((1, 9, 9, 9), np.uint8))
    assert ForegroundSampler(1.0).sample_centre(lambda: empty, 0, rng_of(0, 0, 0)) is None


def test_what_is_not_annotated_is_not_aimed_at() -> None:
    mask = blobs((30, 30), 3, seed=4)
    known = class_locations(mask)
    for fraction in (0.0, 0.5, 1.0):
        for position in range(60):
            voxel = ForegroundSampler(fraction, ignore=2).sample_centre(
                lambda: known, position, rng_of(0, 0, position)
            )
            assert voxel is not None
            assert mask[0][tuple(voxel)] != 2
            if fraction == 1.0:
                assert mask[0][tuple(voxel)] != 0


def drawn(shared_cache: Path, folder: Path, fraction: float, memory_gb: float) -> list[Any]:
    store = Store(folder=folder / "store", memory_gb=memory_gb)
    data = PhantomDataModule(
        cache=shared_cache,
        n_cases=10,
        store=store,
        transforms=Volume(),
        patch=(8, 8, 8),
        foreground_oversampling=fraction,
    )
    data.setup()
    train = data._patch_set
    return [
        train[SampleIndex(position % len(train), 0, position)]["mask"].numpy()
        for position in range(60)
    ]


@pytest.mark.parametrize("memory_gb", [0.0, 1.0])
def test_patches_show_the_foreground(shared_cache: Path, tmp_path: Path, memory_gb: float) -> None:
    """From the files: a patch around a voxel of the foreground holds it, at the case's edge too."""
    shares = [
        np.mean([(mask > 0).any() for mask in drawn(shared_cache, tmp_path, fraction, memory_gb)])
        for fraction in (0.0, 0.5, 1.0)
    ]
    assert shares[0] + 0.1 < shares[1] < shares[2] == 1.0


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"data\.foreground_oversampling is a share, from 0 to 1, got 33"
    ):
        PhantomDataModule(foreground_oversampling=33)
