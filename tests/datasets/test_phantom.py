"""The phantoms: made once, the same everywhere, and worth learning from."""

from pathlib import Path

import numpy as np
import pytest

from medlight.datasets._fake_data import ORIENTATIONS, as_stored_by_scanner, draw_organs
from medlight.datasets.phantom import (
    Phantom,
    Phantom2DDataModule,
    PhantomDataModule,
    PhantomMasksDataModule,
)
from medlight.io.read import read_image, read_mask

ALL = [PhantomDataModule, Phantom2DDataModule, PhantomMasksDataModule]


@pytest.mark.parametrize("kind", ALL)
def test_made_once_for_each_set_of_parameters(kind: type[Phantom], tmp_path: Path) -> None:
    first = kind(cache=tmp_path, n_cases=10)
    assert len(first.cases) == 10
    assert first.cases.public
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    again = kind(cache=tmp_path, n_cases=10)
    assert again.cases.fingerprint() == first.cases.fingerprint()
    assert {path: path.stat().st_mtime_ns for path in again.folder.rglob("*")} == before
    other = kind(cache=tmp_path, n_cases=10, data_seed=1)
    assert other.folder != first.folder
    assert len(kind(cache=tmp_path, n_cases=12).cases) == 12


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    class Failing(PhantomMasksDataModule):
        @classmethod
        def fake(cls, root: Path, cases: int = 12, seed: int = 0) -> None:
            super().fake(root, cases, seed)
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        Failing(cache=tmp_path).index()
    assert [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_volumes(phantom_folder: Path) -> None:
    shapes, orientations, scales, sizes = set(), set(), [], []
    for path in sorted((phantom_folder / "imagesTr").iterdir()):
        image, grid = read_image(path)
        mask, mask_grid = read_mask(phantom_folder / "labelsTr" / path.name)
        assert grid == mask_grid
        assert all(28 <= n <= 40 for n in grid.shape)
        assert all(0.9 <= s <= 1.4 for s in grid.spacing_mm)
        counts = np.bincount(mask.ravel(), minlength=4)
        assert (counts[1:] > 50).all()
        shapes.add(grid.shape)
        orientations.add(grid.orientation)
        scales.append(image.max())
        sizes.append(counts)
    assert len(shapes) > 5
    assert orientations == {"RAS", "LPS", "PIR"}
    assert max(scales) > 3 * min(scales)
    mean = np.mean(sizes, axis=0)
    assert mean[3] < 0.02 * mean.sum()
    assert mean[3] < mean[2] < mean[1]


@pytest.mark.parametrize("orientation", range(len(ORIENTATIONS)))
def test_stored_voxels_keep_their_place(orientation: int) -> None:
    values, spacing = np.random.default_rng(0).normal(size=(4, 5, 6)), (0.9, 1.1, 1.3)
    (turned,), grid = as_stored_by_scanner([values], spacing, orientation)
    _, ras = as_stored_by_scanner([values], spacing, 0)
    for place in np.ndindex(turned.shape):
        voxel = ras.to_voxel(grid.to_world(np.array([place]))).round().astype(int)[0]
        assert turned[place] == values[tuple(voxel)]


def test_intensity_alone_does_not_tell() -> None:
    """The best pair of thresholds for each organ, chosen with the truth at hand."""
    drawn = [draw_organs(np.random.default_rng([0, case]), (36,) * 3) for case in range(4)]
    images = np.stack([(image - image.mean()) / image.std() for image, _ in drawn])
    labels = np.stack([labels for _, labels in drawn])
    edges = np.linspace(images.min(), images.max(), 40)
    for organ in (1, 2, 3):
        # Histograms of organ and rest give the Dice of every pair of thresholds at once.
        inside, whole = (
            np.append(0, np.histogram(values, edges)[0].cumsum())
            for values in (images[labels == organ], images)
        )
        hits, guessed = inside[None] - inside[:, None], whole[None] - whole[:, None]
        dice = 2 * hits / np.maximum(1, guessed + inside[-1])
        assert 0.4 < dice.max() < 0.85


def test_patterns_differ(tmp_path: Path) -> None:
    """A nearest mean over crude features tells the classes apart far better than chance."""
    data = Phantom2DDataModule(cache=tmp_path, n_cases=80)
    images = np.stack([read_image(case.files["image"])[0][0] for case in data.cases])
    truth = data.cases.tags.argmax(1)  # type: ignore[union-attr]
    assert np.bincount(truth).tolist() == [20] * 4
    spectrum = np.log(abs(np.fft.rfft2(images - images.mean((1, 2), keepdims=True)))[:, :12, :12])
    features = spectrum.reshape(len(images), -1)
    half = np.arange(len(images)) % 2 == 0
    means = np.stack([features[half & (truth == k)].mean(0) for k in range(4)])
    guess = ((features[~half, None] - means) ** 2).sum(-1).argmin(1)
    assert (guess == truth[~half]).mean() > 0.7
