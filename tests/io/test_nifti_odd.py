"""Odd but legal NIfTI files are read as nibabel reads them; broken ones are refused by name.

`ODD` holds what must be equal, `REFUSED` what must be an error. Never may a file be read, and read
differently.
"""

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medlight.core.errors import DataError
from medlight.io.nifti import read_header
from medlight.io.read import read_image, read_mask, read_raw

AFFINE = np.array([[0, -1.5, 0, 11], [0.8, 0, 0, -7], [0, 0, 3, 40], [0, 0, 0, 1.0]])
NAN, INF = float("nan"), float("inf")
NO_FORMS = {"sform_code": 0, "qform_code": 0}


def content(
    dtype: str = "<i2", shape: tuple[int, ...] = (4, 5, 6), *, version: int = 1, **fields: Any
) -> bytes:
    """The bytes of a file whose header says what `fields` say, true or not."""
    kind: Any = nib.Nifti1Header if version == 1 else nib.Nifti2Header
    header = kind(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(np.dtype(dtype))
    header.set_data_shape(shape)
    header.set_sform(AFFINE, 1)
    header.set_qform(AFFINE, 1)
    header["magic"] = b"n+1" if version == 1 else b"n+2"
    header["vox_offset"] = 352 if version == 1 else 544
    extension = fields.pop("extension", bytes(4))
    for key, value in fields.items():
        header[key] = value
    values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    start = int(header["vox_offset"]) or 352
    return (header.binaryblock + extension).ljust(start, b"\0") + values.tobytes(order="F")


def note(size: int) -> bytes:
    """A header extension of code 6, a comment, of `size` bytes."""
    return b"\1\0\0\0" + size.to_bytes(4, "little") + b"\6\0\0\0" + b"x" * (size - 8)


PLAIN = content()
ODD = {
    **{
        f"type {code}": content(f"<{code}")
        for code in ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
    },
    "big-endian integers": content(">i2"),
    "big-endian floats": content(">f4"),
    "NIfTI-2": content(version=2),
    "big-endian NIfTI-2": content(">i2", version=2),
    "slope 0": content(scl_slope=0, scl_inter=5),
    "slope nan": content(scl_slope=NAN, scl_inter=NAN),
    "slope infinite": content(scl_slope=INF, scl_inter=0),
    "slope and intercept": content(scl_slope=2, scl_inter=-3),
    "slope 1 with intercept": content(scl_slope=1, scl_inter=1),
    "negative slope": content(scl_slope=-1, scl_inter=0),
    "slope of a wide type": content("<u4", scl_slope=0.1, scl_inter=0.3),
    "two axes": content(shape=(4, 5)),
    "one slice": content(shape=(4, 5, 1)),
    "one frame": content(shape=(4, 5, 6, 1)),
    "channels": content(shape=(4, 5, 6, 3)),
    "channels of a slice": content(shape=(4, 5, 1, 3)),
    "vectors": content(shape=(4, 5, 6, 1, 3), intent_code=1007),
    "vectors of one": content(shape=(4, 5, 6, 1, 1)),
    "extension": content(vox_offset=384, extension=note(32)),
    "gap before the voxels": content(vox_offset=400),
    "odd offset": content(vox_offset=1001),
    "fractional offset": content(vox_offset=353.5),
    "magic of a pair": content(magic=b"ni1"),
    "size of the header 0": content(sizeof_hdr=0),
    "wrong bitpix": content(bitpix=8),
    "trailing bytes": PLAIN + b"more",
    "qform alone": content(sform_code=0),
    "sform alone": content(qform_code=0),
    "no forms": content(**NO_FORMS),
    "unknown form codes": content(sform_code=9, qform_code=7),
    "qfac -1": content(sform_code=0, pixdim=[-1, 1, 2, 3, 0, 0, 0, 0]),
    "qfac 0": content(sform_code=0, pixdim=[0, 1, 2, 3, 0, 0, 0, 0]),
    "sform beside a broken qform": content(quatern_b=2),
    "negative voxel size": content(**NO_FORMS, pixdim=[1, -1, 2, 3, 0, 0, 0, 0]),
    "voxel size 0": content(**NO_FORMS, pixdim=[1, 0, 0, 0, 0, 0, 0, 0]),
    "two gzip members": gzip.compress(PLAIN[:300]) + gzip.compress(PLAIN[300:]),
    "zeros after gzip": gzip.compress(PLAIN) + bytes(64),
}
REFUSED = {
    "intercept nan": (content(scl_slope=2, scl_inter=NAN), "invalid intercept"),
    "one axis": (content(shape=(7,)), "expected a volume"),
    "frames of vectors": (content(shape=(4, 5, 6, 2, 3)), "expected a volume"),
    "seven axes": (content(dim=[7, 4, 5, 6, 1, 1, 1, 1]), "expected a volume"),
    "negative axis": (content(dim=[3, -4, 5, 6, 1, 1, 1, 1]), "shape"),
    "no axis": (content(dim=[0, 4, 5, 6, 1, 1, 1, 1]), "shape"),
    "eight axes": (content(dim=[8, 4, 5, 6, 1, 1, 1, 1]), "cannot be read"),
    "voxels within the header": (content(vox_offset=100), "too low"),
    "other magic": (content(magic=b"abc"), "magic"),
    "broken qform alone": (content(sform_code=0, quatern_b=2), "no usable voxel size"),
    "voxel size nan": (content(**NO_FORMS, pixdim=[1, NAN, 2, 3, 0, 0, 0, 0]), "no usable voxel"),
    "colours": (content(datatype=128), "not supported"),
    "complex numbers": (content(datatype=32), "not supported"),
    "bits": (content(datatype=1), "not supported"),
    "cut within the voxels": (PLAIN[:-3], "should hold 592 bytes"),
    "cut within the header": (PLAIN[:200], "should hold 348 bytes"),
    "second gzip member cut": (
        gzip.compress(PLAIN[:300]) + gzip.compress(PLAIN[300:])[:-20],
        "cut short",
    ),
    "wrong checksum": (gzip.compress(PLAIN)[:-8] + bytes(8), "CRC"),
    "junk after gzip": (gzip.compress(PLAIN) + b"junk", "cannot be read"),
}


def saved(folder: Path, data: bytes) -> Path:
    path = folder / ("v.nii.gz" if data[:2] == b"\x1f\x8b" else "v.nii")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read_as_nibabel_does(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, ODD[name])
    other: Any = nib.load(path)
    values = np.asarray(other.dataobj)
    channels = values.reshape(*values.shape[:3], -1) if values.ndim > 3 else values[..., np.newaxis]
    image, grid = read_image(path)
    np.testing.assert_array_equal(image, np.moveaxis(channels, -1, 0).astype(np.float32))
    np.testing.assert_allclose(grid.affine, other.affine, atol=1e-12)
    assert grid.shape == values.shape[:3]
    assert read_header(path).grid == grid
    raw = read_raw(path)
    np.testing.assert_allclose(
        raw.values * np.float64(raw.slope) + raw.inter, values.reshape(raw.values.shape)
    )
    if channels.shape[-1] == 1 and (values == np.rint(values)).all():
        np.testing.assert_array_equal(read_mask(path)[0][0], channels[..., 0])


@pytest.mark.parametrize("name", REFUSED)
def test_broken_files_are_refused(tmp_path: Path, name: str) -> None:
    data, says = REFUSED[name]
    path = saved(tmp_path, data)
    for read in (read_image, read_mask, read_raw):
        with pytest.raises(DataError, match=says) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_voxels_declared_at_byte_0_are_not_taken_from_the_header(tmp_path: Path) -> None:
    """nibabel would read the header as voxels."""
    path = saved(tmp_path, content(vox_offset=0))
    np.testing.assert_array_equal(read_image(path)[0], read_image(saved(tmp_path, PLAIN))[0])


@pytest.mark.parametrize("suffix", [".hdr", ".img", ".hdr.gz", ".img.gz"])
def test_pairs_of_files_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    nib.save(nib.Nifti1Pair(np.zeros((2, 3, 4), np.int16), AFFINE), tmp_path / "v.img")
    with pytest.raises(DataError, match=r"unknown format; medlight reads \.nii"):
        read_image(tmp_path / f"v{suffix}")
