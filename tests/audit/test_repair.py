"""Repaired copies are what was meant, and the sources are left alone."""

import hashlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medlight.audit.audit import audit
from medlight.audit.repair import Repair, repair
from medlight.core.grid import Grid
from medlight.io.nifti import read_nifti, read_nifti_mask, write_nifti

AFFINE = np.diag([0.8, 0.8, 2.0, 1.0])


@pytest.fixture
def mend(clinic: Any, tmp_path: Path):
    def run() -> list[Repair]:
        def hashes() -> dict[Path, str]:
            files = clinic.root.rglob("*.nii.gz")
            return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

        before = hashes()
        issues, file_infos = audit(clinic.index(), clinic.split())
        repairs = repair(clinic.index(), file_infos, issues, tmp_path / "repaired")
        assert hashes() == before
        for each in repairs:  # laid over the source, nothing repairable is left
            Path(each.source).write_bytes(Path(each.copy).read_bytes())
        assert not [f for f in clinic.issues() if f.repairable]
        return repairs

    return run


def test_a_clean_data_set_needs_none(mend, tmp_path: Path) -> None:
    assert mend() == []
    assert not (tmp_path / "repaired").exists()


def test_nan_becomes_the_lowest_value(clinic: Any, mend) -> None:
    values = clinic.volume(7)[0]
    values[0, 0, 0], values[1, 1, 1] = np.nan, np.inf
    clinic.write(clinic.image(7), values)
    [done] = mend()
    assert (done.case, done.role) == ("case_07", "image")
    assert done.copy.endswith("repaired/images/case_07.nii.gz")
    mended = read_nifti(Path(done.copy))[0][0]
    changed = ~np.isfinite(values)
    assert (mended[changed] == values[~changed].min()).all()
    np.testing.assert_array_equal(mended[~changed], values[~changed])


def test_float_labels_become_integers(clinic: Any, mend) -> None:
    clinic.write(clinic.mask(2), clinic.volume(2)[1].astype(np.float32))
    [done] = mend()
    image = nib.load(done.copy)
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(image.dataobj), clinic.volume(2)[1])


def test_the_forms_agree_afterwards(clinic: Any, mend) -> None:
    image = nib.load(clinic.image(6))
    image.set_sform(AFFINE, 1)
    image.set_qform(np.diag([0.8, 0.8, 2.0, 1.0]) + np.eye(4, k=3) * 5, 1)
    values = np.asarray(image.dataobj)
    nib.save(nib.Nifti1Image(values, None, image.header), clinic.image(6))
    [done] = mend()
    mended = nib.load(done.copy)
    np.testing.assert_allclose(mended.get_sform(), AFFINE, atol=1e-5)
    np.testing.assert_allclose(mended.get_qform(), AFFINE, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(mended.dataobj), values)


@pytest.mark.parametrize("axes", ["LAS", "PIR", "SLA"])
def test_a_mask_in_another_orientation_is_turned(clinic: Any, mend, axes: str) -> None:
    mask = clinic.volume(4)[1]
    nifti = nib.Nifti1Image(mask, AFFINE)
    codes = nib.orientations.axcodes2ornt(tuple(axes))
    other = nifti.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(AFFINE), codes))
    clinic.write(clinic.mask(4), np.asarray(other.dataobj), other.affine)
    [done] = mend()
    mended, grid = read_nifti_mask(Path(done.copy))
    np.testing.assert_array_equal(mended[0], mask)
    assert grid == Grid((16, 17, 12), AFFINE)


def test_a_mask_slightly_off_takes_its_images_place(clinic: Any, mend) -> None:
    off = AFFINE + np.eye(4, k=3) * 0.3
    clinic.write(clinic.mask(4), clinic.volume(4)[1], off)
    [done] = mend()
    assert read_nifti_mask(Path(done.copy))[1] == Grid((16, 17, 12), AFFINE)


def test_a_mask_far_off_is_nobodys_to_guess(clinic: Any, mend) -> None:
    clinic.write(clinic.mask(4), clinic.volume(4)[1], AFFINE + np.eye(4, k=3) * 5)
    assert mend() == []
    assert {f.kind for f in clinic.issues() if f.level == "error"} == {"affine"}


def test_scaled_intensities_stay(clinic: Any, mend) -> None:
    values = clinic.volume(1)[0].astype(np.int16)
    image = nib.Nifti1Image(values, AFFINE)
    image.set_qform(AFFINE + np.eye(4, k=3) * 5, 1)
    image.set_sform(AFFINE, 1)
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, clinic.image(1))
    expected = read_nifti(clinic.image(1))[0]
    [done] = mend()
    np.testing.assert_allclose(read_nifti(Path(done.copy))[0], expected, rtol=1e-6)


def test_a_path_out_of_the_root_stays_in_the_folder(clinic: Any, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere" / "mask.nii.gz"
    write_nifti(outside, clinic.volume(0)[1].astype(np.float32), Grid((16, 17, 12), AFFINE))
    index = clinic.index()
    index._files["mask"] = ("../elsewhere/mask.nii.gz", *index._files["mask"][1:])
    issues, file_infos = audit(index)
    [done] = repair(index, file_infos, issues, tmp_path / "repaired")
    assert Path(done.copy) == tmp_path / "repaired" / "case_00" / "mask.nii.gz"
