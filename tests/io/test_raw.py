"""The reader of an audit agrees with the reader of training, and survives what that refuses."""

import gzip
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medlight.audit.file_scan import count_labels, scan_file
from medlight.core.errors import DataError
from medlight.core.file_ref import FileRef
from medlight.core.grid import Grid
from medlight.io.nifti import read_header, write_nifti
from medlight.io.read import read_image, read_raw

AFFINE = np.array([[0, -2.0, 0, 7], [0.5, 0, 0, 1], [0, 0, 3, -4], [0, 0, 0, 1]])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "f4", "<f8"])
def test_it_reads_what_the_reader_reads(tmp_path: Path, suffix: str, kind, dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 99, (5, 6, 7, 2)).astype(dtype)
    image = kind(values, AFFINE, dtype=np.dtype(dtype))
    image.header.set_data_dtype(dtype)
    image.header.set_slope_inter(2, 3)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(gzip.compress(image.to_bytes()) if suffix.endswith("gz") else image.to_bytes())
    expected, grid = read_image(path)
    raw = read_raw(path)
    scaled = np.moveaxis(raw.values * raw.slope + raw.inter, -1, 0)
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)
    assert raw.grid == grid == read_header(path).grid
    assert raw.dtype_name == np.dtype(dtype).newbyteorder("=").name


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16", "1", "LA"])
def test_it_reads_pictures(tmp_path: Path, mode: str) -> None:
    values = np.random.default_rng(0).integers(0, 255, (9, 8)).astype(np.uint8)
    picture = Image.fromarray(values)
    if mode == "I;16":
        picture = Image.fromarray(values.astype(np.uint16) * 200)
    picture = picture.convert(mode) if mode != "I;16" else picture
    picture.save(tmp_path / "x.png")
    raw = read_raw(tmp_path / "x.png")
    assert raw.grid == Grid((9, 8))
    if mode in ("L", "RGB", "I;16"):
        most = 65535 if mode == "I;16" else 255
        expected = np.moveaxis(read_image(tmp_path / "x.png")[0], 0, -1).squeeze()
        np.testing.assert_allclose(raw.values / most, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "p.png", "p.jpg", "p.bmp"])
def test_damaged_files_are_named_and_nothing_else_happens(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"ä b {name}"
    values = np.random.default_rng(1).integers(0, 255, (12, 11, 10)).astype(np.uint8)
    if ".nii" in name:
        write_nifti(path, values, Grid(values.shape, AFFINE))
    else:
        Image.fromarray(values[..., 0]).save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(2)
    for trial in range(150):
        data = bytearray(whole)
        if trial % 3 == 0:
            data = data[: random.integers(0, len(data))]
        for _ in range(random.integers(0, 4) if data else 0):
            # Mostly headers: that is where a flipped bit does most.
            place = random.integers(0, min(len(data), 400) if trial % 2 else len(data))
            data[place] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(bytes(data))
        for role in ("image", "mask"):
            file_infos = scan_file(0, role, FileRef.of(path))
            assert file_infos.error is None or str(path) in file_infos.error


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "link.nii").symlink_to(tmp_path / "nowhere")
    for name, what in (("pipe.nii", "no plain file"), ("link.nii", "no such file")):
        file_infos = scan_file(0, "image", str(tmp_path / name))
        assert file_infos.error is not None
        assert what in file_infos.error
    (tmp_path / "x.dcm").write_bytes(b"x")
    with pytest.raises(DataError, match=r"x\.dcm: unknown format"):
        read_raw(tmp_path / "x.dcm")


def test_labels_are_counted_as_numpy_counts_them() -> None:
    random = np.random.default_rng(0)
    for dtype in ("u1", "i1", "i2", "u2", "i4", "i8", "u8", "f4"):
        values = random.integers(0, 100, (13, 12, 11)).astype(dtype)
        expected = dict(
            zip(*(v.tolist() for v in np.unique(values, return_counts=True)), strict=True)
        )
        assert count_labels(values) == ({int(k): n for k, n in expected.items()}, 0)
    assert count_labels(np.array([-128, 127], "i1")) == ({-128: 1, 127: 1}, 0)
    assert count_labels(np.array([2**64 - 1, 2**64 - 3], "u8"))[0] == {2**64 - 1: 1, 2**64 - 3: 1}
    assert count_labels(np.array([0.5, 1, np.nan, np.inf]))[1] == 3
    assert count_labels(np.array([1, 2], "u1"), slope=0.5) == ({0: 1, 1: 1}, 1)
    assert count_labels(np.arange(5000))[0] is None


def test_where_voxels_begin_is_one_rule(tmp_path: Path) -> None:
    """Some files leave the offset 0: the audit and training then read the same voxels."""
    values = np.arange(60, dtype="<i2").reshape(3, 4, 5)
    data = bytearray(nib.Nifti1Image(values, AFFINE).to_bytes())
    data[108:112] = bytes(4)
    (tmp_path / "x.nii").write_bytes(data)
    np.testing.assert_array_equal(read_raw(tmp_path / "x.nii").values, values)
    np.testing.assert_array_equal(read_image(tmp_path / "x.nii")[0][0], values)
