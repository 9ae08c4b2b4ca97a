"""The perceptual hash: what it must not see, and what it must."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medlight.audit.audit import audit
from medlight.audit.duplicates import near_duplicate_pairs
from medlight.audit.file_scan import FileInfo, perceptual_hash, scan_file, thumbnail
from medlight.core.grid import Grid
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.datasets._fake_data import write_class_folders


def noise(number: int, dims: int = 2) -> np.ndarray:
    """Smooth random shapes on 64 pixels an axis, 0 to 255."""
    random = np.random.default_rng(number)
    coarse = random.normal(size=(8,) * dims)
    fine = np.kron(coarse, np.ones((8,) * dims))
    return np.interp(fine, (fine.min(), fine.max()), (20, 220)).astype(np.uint8)


def jpeg(values: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


SAME = {
    "re-encoded": jpeg,
    "enlarged": lambda v: np.asarray(Image.fromarray(v).resize((201, 150), Image.BICUBIC)),
    "darker": lambda v: (0.6 * v + 10).astype(np.uint8),
    "noisier": lambda v: np.clip(v + np.random.default_rng(0).normal(0, 4, v.shape), 0, 255),
    "16 bits": lambda v: v.astype(np.uint16) * 257,
}


def hash_of(values: np.ndarray) -> tuple[int, np.ndarray]:
    small = thumbnail(values, Grid(values.shape))
    return perceptual_hash(small), small


@pytest.mark.parametrize("change", SAME)
def test_what_it_does_not_see(change: str) -> None:
    for number in range(5):
        values = noise(number)
        (one, small), (other, again) = hash_of(values), hash_of(SAME[change](values))
        assert (one ^ other).bit_count() <= 8
        assert (small * again).sum() > 0.998


@pytest.mark.parametrize("dims", [2, 3])
def test_other_images_are_far(dims: int) -> None:
    hashes = [hash_of(noise(number, dims))[0] for number in range(20)]
    gaps = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(gaps) > 14
    assert np.mean(gaps) == pytest.approx(32, abs=3)


def test_no_turn_of_the_axes_hides_a_volume(tmp_path: Path) -> None:
    """Against nibabel's own reorientation."""
    import nibabel as nib

    volume = nib.Nifti1Image(noise(3, 3)[:, :40, :52], np.diag([1, 1.5, 2, 1]))
    file_infos = []
    for axes in ("RAS", "LPS", "PIR", "SLA", "ASL"):
        codes = nib.orientations.axcodes2ornt(tuple(axes))
        turn = nib.orientations.ornt_transform(nib.io_orientation(volume.affine), codes)
        nib.save(volume.as_reoriented(turn), tmp_path / f"{axes}.nii.gz")
        file_infos.append(scan_file(len(file_infos), "image", str(tmp_path / f"{axes}.nii.gz")))
    assert len(near_duplicate_pairs(file_infos)) == 10
    assert len({info.sha256 for info in file_infos}) == 5


def test_a_head_stored_in_twelve_orientations(real_data: Path) -> None:
    files = sorted((real_data / "orientations").glob("*.nii.gz"))
    if not files:
        pytest.skip("no orientations/ in MEDLIGHT_DATA")
    file_infos = [scan_file(row, "image", os.fspath(path)) for row, path in enumerate(files)]
    assert len(near_duplicate_pairs(file_infos)) == len(files) * (len(files) - 1) // 2


def test_a_constant_image_looks_like_nothing(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64), 25, np.uint8)).save(tmp_path / "a.png")
    assert scan_file(0, "image", str(tmp_path / "a.png")).perceptual_hash is None
    assert not thumbnail(np.full((9, 9, 9), 3.5), Grid((9, 9, 9))).any()


def test_pairs_are_those_of_an_exhaustive_search() -> None:
    random = np.random.default_rng(1)
    file_infos = []
    for row in range(300):
        values = noise(row % 140).astype(float) + random.normal(0, 3, (64, 64))
        word, small = hash_of(values)
        packed = np.rint(small * 127 / np.abs(small).max()).astype(np.int8).tobytes()
        info = FileInfo(row, "image", "", perceptual_hash=word, thumbnail=packed)
        info.grid = Grid((64, 64))
        file_infos.append(info)
    expected = [(a, b) for b in range(300) for a in range(b) if a % 140 == b % 140]
    assert near_duplicate_pairs(file_infos) == sorted(expected)


def test_pictures_of_two_patients_that_look_the_same(tmp_path: Path) -> None:
    write_class_folders(tmp_path, ("a", "b"), cases=12, seed=0, step=1, suffix=".png")
    again = np.asarray(Image.open(tmp_path / "a" / "000002.png"))
    Image.fromarray((0.8 * again).astype(np.uint8)).save(tmp_path / "b" / "copy.png")
    names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png"))
    index = Index(
        labels=Labels(("a", "b"), "multiclass"),
        sources=[Source("pictures", tmp_path)],
        ids=[name.removesuffix(".png") for name in names],
        patients=names,
        files={"image": names},
        tags=np.array([[n[0] == "a", n[0] == "b"] for n in names], np.float32),
    )
    [found] = [f for f in audit(index)[0] if f.kind == "near-duplicates"]
    assert found.level == "note"
    assert found.groups == (("a/000002", "b/copy"),)
    (tmp_path / "b" / "copy.png").write_bytes((tmp_path / "a" / "000002.png").read_bytes())
    [found] = [f for f in audit(index)[0] if f.kind == "contradiction"]
    assert found.level == "error"
    assert "a/000002 (a), b/copy (b)" in found.message
