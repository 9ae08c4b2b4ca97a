"""Odd files go through `predict` and through an exported folder alike, and come back in place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from medlight.core.data_spec import DataSpec
from medlight.core.errors import DataError
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.nifti import read_header
from medlight.io.read import read_image
from medlight.io.store.case_file import PreparedCase, read_case_header, write_case_file
from medlight.io.store.codec import encode_image
from medlight.io.write import write_mask
from medlight.jobs.predict import predict
from medlight.tasks.segmentation import SegmentationTask
from tests.io.test_nifti_odd import ODD, REFUSED, content, saved
from tests.io.test_raster_odd import GREY, HOUNSFIELD, tiff
from tests.jobs import test_predict

SFORM = np.array([[0, -1.5, 0, 11], [0.8, 0, 0, -7], [0, 0, 3, 40], [0, 0, 0, 1.0]])
QFORM = np.array([[0, -1.5, 0, 4], [0.8, 0, 0, -14], [0, 0, 3, 47], [0, 0, 0, 1.0]])
MM = {"unknown": 1, "mm": 1, "meter": 1000, "micron": 0.001}


def takes(theirs: Any, image: np.ndarray) -> None:
    theirs.ARTIFACT["input"] = {"channels": len(image), "spatial_dims": image.ndim - 1}


def volume(path: Path, unit: str = "mm") -> Path:
    scale = np.diag([1 / MM[unit]] * 3 + [1])
    image = nib.Nifti1Image(np.random.default_rng(0).normal(size=(4, 5, 6)).astype("f4"), None)
    image.set_sform(scale @ SFORM, 2)
    image.set_qform(scale @ QFORM, 1)
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, path)
    return path


@pytest.mark.parametrize("unit", MM)
def test_units_are_turned_into_mm_and_back(tmp_path: Path, unit: str) -> None:
    path = volume(tmp_path / "v.nii.gz", unit)
    header, (_, grid) = read_header(path), read_image(path)
    np.testing.assert_allclose(grid.affine, SFORM, rtol=1e-5)
    np.testing.assert_allclose(grid.spacing_mm, (0.8, 1.5, 3), rtol=1e-5)
    np.testing.assert_allclose(header.sform, SFORM, rtol=1e-5)
    np.testing.assert_allclose(header.qform, QFORM, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("program", ["predict", "export"])
@pytest.mark.parametrize("unit", MM)
def test_a_mask_has_both_forms_and_the_unit_of_its_image(
    tmp_path: Path, theirs: Any, unit: str, program: str
) -> None:
    path = volume(tmp_path / "v.nii.gz", unit)
    labels = np.zeros((4, 5, 6), np.uint8)
    image, grid = read_image(path)
    if program == "predict":
        write_mask(tmp_path / "m.nii.gz", labels, grid)
    else:
        takes(theirs, image)
        theirs.write(tmp_path / "m.nii.gz", labels, *theirs.read(path)[1:])
    source, mask = (nib.load(tmp_path / name) for name in ("v.nii.gz", "m.nii.gz"))
    for form in ("get_sform", "get_qform"):
        one, other = (getattr(each, form)(coded=True) for each in (source, mask))
        np.testing.assert_allclose(other[0], one[0], rtol=1e-5, atol=1e-5)
        assert other[1] == one[1]
    assert mask.header["xyzt_units"] == source.header["xyzt_units"]
    np.testing.assert_allclose(mask.header.get_zooms(), source.header.get_zooms(), rtol=1e-6)


def test_prepared_cases_keep_both_forms(tmp_path: Path) -> None:
    """So that masks of the test cases lie where their images do."""
    image, grid = read_image(volume(tmp_path / "v.nii.gz", "micron"))
    prepared = PreparedCase(image=image, mask=None, source_grid=grid, grid=grid)
    write_case_file(
        tmp_path / "a.case",
        {"set": "s", "case": "a"},
        prepared,
        encode_image(image, "int16"),
        None,
        "none",
    )
    source, _ = read_case_header(tmp_path / "a.case").grids
    np.testing.assert_array_equal(source.qform, grid.qform)
    assert (source.sform_code, source.qform_code, source.units) == (2, 1, grid.units)


def test_voxels_of_a_tenth_of_a_micron_are_read(tmp_path: Path) -> None:
    small = np.diag([1e-4, 1e-4, 5e-5, 1])
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), "f4"), small), tmp_path / "v.nii")
    np.testing.assert_allclose(read_image(tmp_path / "v.nii")[1].affine, small, rtol=1e-6)


PLACES = {
    "micron": content(xyzt_units=3),
    "metre": content(xyzt_units=1),
    "unpacked": content(),
    "5-D": content(shape=(4, 5, 6, 1, 2)),
    "5-D with axes of one": content(shape=(4, 5, 6, 1, 1)),
    "a slice": content(shape=(4, 5)),
    "sform of zeros": content(srow_x=0, srow_y=0, srow_z=0),
    "broken sform, and no qform": content(srow_x=0, qform_code=0),
    "broken qform beside the sform": content(quatern_b=2),
}


@pytest.mark.parametrize("name", [*ODD, *PLACES])
def test_the_exported_program_reads_volumes_as_predict_does(
    tmp_path: Path, theirs: Any, name: str
) -> None:
    path = saved(tmp_path, (ODD | PLACES)[name])
    if name == "unpacked":
        path = path.rename(tmp_path / "v.nii.gz")
    image, grid = read_image(path)
    takes(theirs, image)
    if not np.isfinite(image).all():
        with pytest.raises(SystemExit, match="not finite"):
            theirs.read(path)
        return
    values, affine, _ = theirs.read(path)
    np.testing.assert_array_equal(values, image)
    np.testing.assert_allclose(affine, grid.affine, rtol=1e-12)


@pytest.mark.parametrize("name", REFUSED)
def test_the_exported_program_refuses_what_predict_refuses(
    tmp_path: Path, theirs: Any, name: str
) -> None:
    theirs.ARTIFACT["input"] = {"channels": 1, "spatial_dims": 3}
    with pytest.raises((SystemExit, Exception)):
        theirs.read(saved(tmp_path, REFUSED[name][0]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_exported_program_refuses_what_is_not_finite(
    tmp_path: Path, theirs: Any, value: float
) -> None:
    values = np.zeros((4, 5, 6), "f4")
    values[1] = value
    nib.save(nib.Nifti1Image(values, SFORM), tmp_path / "v.nii.gz")
    takes(theirs, values[None])
    with pytest.raises(SystemExit, match=r"v\.nii\.gz: it holds values that are not finite"):
        theirs.read(tmp_path / "v.nii.gz")
    takes(theirs, np.zeros((2, 4, 5, 6)))
    with pytest.raises(SystemExit, match="the net takes"):
        theirs.read(tmp_path / "v.nii.gz")


def picture(path: Path, kind: str) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    if kind == "signed":
        return tiff(path, GREY.view("i1"), 2)
    if kind == "unsigned 32":
        return tiff(path, GREY.astype("u4") * 2**24, 1)
    if kind == "white is zero":
        return tiff(path, GREY, 1, photometric=0)
    if kind == "lying":
        Image.fromarray(GREY).save(path, exif=exif)
        return path
    values = {
        "8 bits": GREY,
        "16 bits": GREY.astype("u2") * 256,
        "floats": HOUNSFIELD,
        "integers": GREY.astype("i4") * 1000 - 70_000,
        "colour": np.random.default_rng(1).integers(0, 256, (12, 17, 3)).astype("u1"),
    }
    Image.fromarray(values[kind]).save(path)
    return path


KINDS = ["8 bits", "16 bits", "floats", "integers", "colour", "lying", "signed", "unsigned 32",
         "white is zero"]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        *((kind, ".tif") for kind in KINDS),
        ("16 bits", ".png"),
        ("lying", ".jpg"),
        ("8 bits", ".PNG"),
    ],
)
def test_the_exported_program_reads_pictures_as_predict_does(
    tmp_path: Path, theirs: Any, kind: str, suffix: str
) -> None:
    path = picture(tmp_path / f"p{suffix}", kind)
    image, _ = read_image(path)
    takes(theirs, image)
    values, affine, header = theirs.read(path)
    np.testing.assert_array_equal(values, image)
    np.testing.assert_array_equal(affine, np.eye(4))
    assert header is None


def test_the_exported_program_refuses_several_pictures(tmp_path: Path, theirs: Any) -> None:
    one = Image.fromarray(GREY)
    one.save(tmp_path / "a.tif", save_all=True, append_images=[one])
    with pytest.raises(DataError):
        read_image(tmp_path / "a.tif")
    with pytest.raises(SystemExit, match="several pictures"):
        theirs.read(tmp_path / "a.tif")


def test_a_slice_comes_back_as_what_it_was(tmp_path: Path) -> None:
    """A volume of two axes keeps its affine; pictures give pictures."""
    spec = DataSpec(2, 1, test_predict.ORGANS, patch=(8, 8))
    task = SegmentationTask(
        net=test_predict.SMALL_UNET, spec=spec, loss=torch.nn.CrossEntropyLoss()
    ).eval()
    model = replace(test_predict.trained(1), task=task, transforms=None)
    values = np.random.default_rng(0).normal(size=(9, 12)).astype(np.float32)
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(values, SFORM), tmp_path / "in/two.nii.gz")
    nib.save(nib.Nifti1Image(values[..., None], SFORM), tmp_path / "in/three.nii.gz")
    Image.new("L", (9, 12)).save(tmp_path / "in/picture.jpg")
    with pytest.raises(DataError, match=r"three: .* save each slice as a picture, or as a volume"):
        predict(
            runs=[Path("1")], load=lambda run, checkpoint: model, inference=SlidingWindow(),
            input=tmp_path / "in", output=tmp_path / "out", probabilities=True,
        )  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "out").glob("*.*")) == [
        "picture.png", "predicted_by.json", "two.nii.gz", "volumes.csv",
    ]  # fmt: skip
    mask = nib.load(tmp_path / "out/two.nii.gz")
    assert mask.shape == (9, 12)
    np.testing.assert_allclose(mask.affine, SFORM)
    assert nib.load(tmp_path / "out/probabilities/two.nii.gz").shape[:2] == (9, 12)
