"""NIfTI in and out: scaling, channels, geometry, damage."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.grid import Grid
from medlight.io.nifti import write_nifti
from medlight.io.read import read_image, read_mask
from medlight.io.write import write_mask

AFFINE = np.array([[0, -1.5, 0, 11], [0.8, 0, 0, -7], [0, 0, 3, 40], [0, 0, 0, 1.0]])
RANDOM = np.random.default_rng(0)


def save(
    path: Path, values: np.ndarray, affine: np.ndarray | None = AFFINE, **header: object
) -> Path:
    image = nib.Nifti1Image(values, affine)
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, path)
    return path


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8", ">i2", ">f4"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".NII.GZ"])
def test_volume_in_any_type(tmp_path: Path, dtype: str, suffix: str) -> None:
    values = RANDOM.integers(0, 100, (4, 5, 6)).astype(dtype)
    image, grid = read_image(save(tmp_path / f"v{suffix}", values))
    assert image.dtype == np.float32
    assert image.dtype.isnative
    np.testing.assert_array_equal(image, values[None])
    assert grid == Grid((4, 5, 6), AFFINE)


def test_nifti2(tmp_path: Path) -> None:
    values = RANDOM.normal(size=(3, 4, 5)).astype("f4")
    nib.save(nib.Nifti2Image(values, AFFINE), tmp_path / "v.nii.gz")
    image, grid = read_image(tmp_path / "v.nii.gz")
    np.testing.assert_array_equal(image[0], values)
    assert grid == Grid((3, 4, 5), AFFINE)


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (4, 5, 6, 1), (4, 5, 6, 1, 3)])
def test_channels_come_first(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = RANDOM.normal(size=shape).astype("f4")
    image, grid = read_image(save(tmp_path / "v.nii.gz", values))
    assert grid.shape == (4, 5, 6)
    assert image.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(image, np.moveaxis(values.reshape(4, 5, 6, -1), -1, 0))


def test_flat_image(tmp_path: Path) -> None:
    values = RANDOM.normal(size=(4, 5)).astype("f4")
    image, grid = read_image(save(tmp_path / "v.nii", values))
    np.testing.assert_array_equal(image[0], values)
    assert grid.shape == (4, 5)


def test_scaling_is_applied(tmp_path: Path) -> None:
    stored = RANDOM.integers(0, 4000, (4, 5, 6)).astype("i2")
    path = tmp_path / "ct.nii.gz"
    raw = bytearray(nib.Nifti1Image(stored, AFFINE).to_bytes())
    raw[112:120] = np.array([0.5, -1024], "<f4").tobytes()
    path.write_bytes(gzip.compress(bytes(raw)))
    np.testing.assert_allclose(read_image(path)[0][0], stored * 0.5 - 1024)


def test_uncompressed_file_called_gz(tmp_path: Path) -> None:
    values = RANDOM.normal(size=(3, 3, 3)).astype("f4")
    (tmp_path / "v.nii.gz").write_bytes(nib.Nifti1Image(values, AFFINE).to_bytes())
    np.testing.assert_array_equal(read_image(tmp_path / "v.nii.gz")[0][0], values)


@pytest.mark.parametrize(("sform", "qform"), [(1, 1), (2, 0), (0, 1), (0, 0), (4, 3)])
def test_affine_is_that_of_nibabel(tmp_path: Path, sform: int, qform: int) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), "f4"), None)
    image.header.set_zooms((0.8, 1.5, 3))
    image.set_sform(AFFINE, sform)
    image.set_qform(AFFINE, qform)
    nib.save(image, tmp_path / "v.nii.gz")
    _, grid = read_image(tmp_path / "v.nii.gz")
    np.testing.assert_allclose(grid.affine, nib.load(tmp_path / "v.nii.gz").affine)
    assert (grid.sform_code, grid.qform_code) == (sform, qform)


def test_sform_of_zeros_falls_back_on_the_qform(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), "f4"), AFFINE)
    image.set_qform(AFFINE, 1)
    for row in ("srow_x", "srow_y", "srow_z"):
        image.header[row] = 0
    image.header["sform_code"] = 1
    (tmp_path / "v.nii").write_bytes(image.header.binaryblock + bytes(4) + bytes(480))
    np.testing.assert_allclose(read_image(tmp_path / "v.nii")[1].affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 1)])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_mask(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    labels = RANDOM.integers(0, 4, shape).astype(dtype)
    mask, grid = read_mask(save(tmp_path / "m.nii.gz", labels))
    assert mask.dtype == np.int64
    np.testing.assert_array_equal(mask, labels.reshape(1, 4, 5, 6))
    assert grid == Grid((4, 5, 6), AFFINE)


@pytest.mark.parametrize("wrong", [0.5, np.nan])
def test_mask_that_is_not_whole(tmp_path: Path, wrong: float) -> None:
    path = save(tmp_path / "m.nii.gz", np.full((2, 2, 2), wrong, "f4"))
    with pytest.raises(DataError, match=r"m\.nii\.gz: a mask holds whole numbers"):
        read_mask(path)


def test_mask_with_channels(tmp_path: Path) -> None:
    path = save(tmp_path / "m.nii.gz", np.zeros((2, 2, 2, 3), "u1"))
    with pytest.raises(DataError, match="3 channels"):
        read_mask(path)


@pytest.mark.parametrize(
    "damage", ["truncated", "truncated gz", "empty", "text", "folder", "complex", "huge"]
)
def test_damage_is_one_clear_error(
    tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "v.nii.gz"
    kind = "c8" if damage == "complex" else "f4"
    good = bytearray(nib.Nifti1Image(RANDOM.normal(size=(9, 9, 9)).astype(kind), AFFINE).to_bytes())
    if damage == "huge":
        good[40:56] = np.array([7, 32000, 32000, 32000, 9, 1, 1, 1], "<i2").tobytes()
    content = {
        "truncated": bytes(good[:1000]),
        "truncated gz": gzip.compress(bytes(good))[:-100],
        "empty": b"",
        "text": b"<html>404</html>" * 50,
    }
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(content.get(damage, gzip.compress(bytes(good))))
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=r"v\.nii\.gz: .*(again|leave it out)"):
            read(path)
    assert capfd.readouterr().err == ""


def test_header_mended_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / "v.nii", np.zeros((2, 2, 2), "f4"))
    raw = bytearray(path.read_bytes())
    raw[76:80] = np.float32(0).tobytes()  # qfac must be 1 or -1
    path.write_bytes(raw)
    read_image(path)
    assert capfd.readouterr().err == ""


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"v\.nii: there is no such file"):
        read_image(tmp_path / "v.nii")


@pytest.mark.parametrize(("sform", "qform"), [(1, 1), (2, 0), (0, 1), (0, 0), (4, 3)])
def test_prediction_lies_where_its_source_does(tmp_path: Path, sform: int, qform: int) -> None:
    source = nib.Nifti1Image(np.zeros((4, 5, 6), "f4"), None)
    source.header.set_zooms((0.8, 1.5, 3))
    source.set_sform(AFFINE, sform)
    source.set_qform(AFFINE, qform)
    source.header.set_xyzt_units("mm", "sec")
    source.header["descrip"] = b"name of a patient"
    nib.save(source, tmp_path / "source.nii.gz")
    _, grid = read_image(tmp_path / "source.nii.gz")
    labels = RANDOM.integers(0, 3, (4, 5, 6)).astype("u1")
    write_mask(tmp_path / "deep" / "p.nii.gz", labels, grid)
    source, written = nib.load(tmp_path / "source.nii.gz"), nib.load(tmp_path / "deep" / "p.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels)
    np.testing.assert_allclose(written.affine, source.affine, atol=1e-5)
    for key in ("sform_code", "qform_code", "xyzt_units"):
        assert written.header[key] == source.header[key]
    assert written.get_data_dtype() == np.uint8
    assert written.dataobj.slope == 1
    assert not any(
        bytes(written.header[key]).strip(b"\0") for key in ("descrip", "db_name", "aux_file")
    )
    assert not written.header.extensions
    assert read_mask(tmp_path / "deep" / "p.nii.gz")[1] == grid


def test_writing_refuses_what_does_not_fit(tmp_path: Path) -> None:
    grid = Grid((4, 5, 6))
    with pytest.raises(ValueError, match="expected uint8"):
        write_mask(tmp_path / "p.nii.gz", np.zeros((4, 5, 6)), grid)
    with pytest.raises(ValueError, match="shape"):
        write_mask(tmp_path / "p.nii.gz", np.zeros((4, 5, 7), "u1"), grid)
    assert not list(tmp_path.iterdir())


def test_written_files_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, np.ones((3, 3, 3), "i2"), Grid((3, 3, 3)))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_real_orientations_are_one_volume(real_data: Path) -> None:
    expected, ras = read_image(real_data / "orientations" / "RAS.nii.gz")
    paths = sorted((real_data / "orientations").glob("*.nii.gz"))
    assert len(paths) == 12
    for path in paths:
        image, grid = read_image(path)
        assert grid.orientation == path.name[:3]
        order = np.argsort(grid.axes[:, 0])
        turned = image[0].transpose(order)[
            tuple(slice(None, None, int(s)) for s in grid.axes[order, 1])
        ]
        np.testing.assert_array_equal(turned, expected[0])
        corner = np.where(grid.axes[:, 1] > 0, 0, np.array(grid.shape) - 1)
        np.testing.assert_allclose(
            grid.to_world(corner[None]), ras.to_world([[0, 0, 0]]), atol=1e-3
        )
