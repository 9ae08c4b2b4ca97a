"""Each thing that can be wrong, in one generated file: what is said, of which file, with what
advice."""

import gzip
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medlight.audit.audit import audit, pre_training_audit
from medlight.audit.issues import count_by_level
from medlight.core.errors import DataError
from medlight.core.split import Split
from medlight.io.nifti import read_nifti
from medlight.io.read import read_raw

AFFINE = np.diag([0.8, 0.8, 2.0, 1.0])
Clinic = Any


def test_a_clean_data_set_has_no_errors_or_warnings(clinic: Clinic, tmp_path: Path) -> None:
    issues = clinic.issues()
    assert count_by_level(issues) == {"error": 0, "warning": 0, "note": 1}
    assert "liver in 10" in issues[0].message
    assert pre_training_audit(clinic.index(), clinic.split(), tmp_path) == []


UNREADABLE = {
    "cut short": lambda data: data[: len(data) // 2],
    "bytes, but holds": lambda data: gzip.compress(gzip.decompress(data)[:-100]),
    "empty": lambda data: b"",
    "cannot be read": lambda data: b"not a volume at all" * 40,
    "does not start": lambda data: gzip.compress(b"\0" * 4000),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_unreadable(clinic: Clinic, only, what: str) -> None:
    path = clinic.image(3)
    path.write_bytes(UNREADABLE[what](path.read_bytes()))
    issue = only(clinic.issues(), "unreadable")
    assert issue.level == "error"
    assert str(path) in issue.message
    assert what in issue.message
    assert "data.exclude=[case_03]" in issue.advice


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 4, 4), "u1"), np.eye(4))
    data = image.to_bytes() + bytes(200 << 20)
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(data, 1))
    for read in (read_raw, read_nifti):  # the audit says of a file what training would say
        with pytest.raises(DataError, match=r"bomb\.nii\.gz: .* bytes follow the voxels"):
            read(tmp_path / "bomb.nii.gz")


def test_a_header_that_promises_too_much(clinic: Clinic, only) -> None:
    image = nib.load(clinic.image(1))
    data = bytearray(image.to_bytes())
    data[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    clinic.image(1).write_bytes(gzip.compress(bytes(data)))
    assert "it should hold 108000000000352 " in only(clinic.issues(), "unreadable").message


def test_a_folder_and_a_broken_picture(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    (tmp_path / "ü y.jpg").write_bytes(b"\xff\xd8 no picture")
    for name, what in (("x.png", "it is a folder"), ("ü y.jpg", "cannot be read")):
        with pytest.raises(DataError, match=f"{name}.*{what}"):
            read_raw(tmp_path / name)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_volume_cut_short_is_seen_at_a_glance(
    clinic: Clinic, only, tmp_path: Path, share: float
) -> None:
    whole = clinic.image(3).read_bytes()
    clinic.image(3).write_bytes(whole[: int(share * len(whole))])
    found = pre_training_audit(clinic.index(), clinic.split(), tmp_path)
    issue = only(found, "unreadable")
    assert str(clinic.image(3)) in issue.message
    assert "data.exclude=[case_03]" in issue.advice


def test_several_gzip_members_are_no_damage(clinic: Clinic, tmp_path: Path) -> None:
    content = gzip.decompress(clinic.image(3).read_bytes())
    members = (content[:999], content[999:], b"")
    clinic.image(3).write_bytes(b"".join(map(gzip.compress, members)))
    assert pre_training_audit(clinic.index(), clinic.split(), tmp_path) == []


def test_missing(clinic: Clinic, only, tmp_path: Path) -> None:
    clinic.mask(2).unlink()
    for issues in (clinic.issues(), pre_training_audit(clinic.index(), clinic.split(), tmp_path)):
        issue = only(issues, "missing")
        assert f"{clinic.mask(2)}: there is no such file" in issue.message
        assert "put it back" in issue.advice


def test_missing_pair(clinic: Clinic, only) -> None:
    index = clinic.index()
    index._files["mask"] = (None, *index._files["mask"][1:])
    issue = only(audit(index)[0], "missing pair")
    assert issue.message == "1 cases have no mask: case_00"
    assert issue.advice == "add the masks, or leave out by data.exclude=[case_00]"


def test_stray(clinic: Clinic, only) -> None:
    shutil.copy(clinic.image(0), clinic.root / "images" / "forgotten.nii.gz")
    (clinic.root / "images" / "._litter.nii.gz").write_bytes(b"")
    issue = only(clinic.issues(), "stray files")
    assert issue.level == "note"
    assert issue.message.startswith("1 images")
    assert "forgotten.nii.gz" in issue.message


TILT = np.array([[0.8, 0, 0, 0], [0, 0.8, 0.3, 0], [0, 0, 2.0, 0], [0, 0, 0, 1]])
SHIFT = AFFINE + np.array([[0, 0, 0, 5.0], [0] * 4, [0] * 4, [0] * 4])
FLIP = np.diag([-0.8, 0.8, 2.0, 1.0])
DISAGREE = {
    "shape": (lambda mask: mask[:-1], AFFINE, "shapes 16x17x12 and 15x17x12"),
    "affine": (lambda mask: mask, SHIFT, "positions, by up to 5.00 mm"),
    "orientation": (lambda mask: mask, FLIP, "orientations RAS and LAS"),
    "spacing": (lambda mask: mask, np.diag([0.8, 0.8, 3, 1]), "0.8 x 0.8 x 3 mm"),
}


@pytest.mark.parametrize("kind", DISAGREE)
def test_image_and_mask_disagree(clinic: Clinic, only, tmp_path: Path, kind: str) -> None:
    change, affine, words = DISAGREE[kind]
    clinic.write(clinic.mask(4), change(clinic.volume(4)[1]), affine)
    for issues in (clinic.issues(), pre_training_audit(clinic.index(), clinic.split(), tmp_path)):
        issue = only(issues, kind)
        assert issue.level == "error"
        assert issue.message.startswith("case_04: image and mask differ in")
        assert words in issue.message
        assert str(clinic.mask(4)) in issue.message
        assert "data.exclude=[case_04]" in issue.advice


def test_skewed(clinic: Clinic, only) -> None:
    for path, values in zip((clinic.image(5), clinic.mask(5)), clinic.volume(5), strict=True):
        image = nib.Nifti1Image(values, TILT)
        image.set_sform(TILT, 1)
        image.set_qform(None, 0)
        nib.save(image, path)
    found = [f for f in clinic.issues() if f.kind == "skewed"]
    assert [f.level for f in found] == ["warning"] * 2
    degrees = np.degrees(np.arcsin(0.3 / np.hypot(0.3, 2)))
    assert (
        f"{clinic.image(5)}: the axes of this image are {degrees:.2f} degrees" in found[0].message
    )


def test_forms(clinic: Clinic, only) -> None:
    image = nib.load(clinic.image(6))
    image.set_qform(SHIFT, 1)
    image.set_sform(AFFINE, 1)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), clinic.image(6))
    issue = only(clinic.issues(), "forms")
    assert issue.repairable
    assert f"{clinic.image(6)}: sform and qform put the same voxel 5.00 mm" in issue.message


def test_nonfinite(clinic: Clinic, only) -> None:
    values = clinic.volume(7)[0]
    values[0, 0, 0], values[1, 1, 1] = np.nan, np.inf
    clinic.write(clinic.image(7), values)
    issue = only(clinic.issues(), "nonfinite")
    assert (issue.level, issue.repairable) == ("error", True)
    assert issue.message == f"{clinic.image(7)}: 2 values are nan or infinite"
    assert "fix=true" in issue.advice


def test_constant_is_a_warning(clinic: Clinic, only) -> None:
    clinic.write(clinic.image(8), np.full((16, 17, 12), 25, np.float32))
    issue = only(clinic.issues(), "constant")
    assert issue.level == "warning"
    assert f"{clinic.image(8)} (all 25)" in issue.message


def test_labels_outside(clinic: Clinic, only) -> None:
    mask = clinic.volume(1)[1]
    mask[0, 0, 0] = 7
    clinic.write(clinic.mask(1), mask)
    issue = only(clinic.issues(), "labels")
    assert issue.message == (
        f"{clinic.mask(1)}: the mask holds 7, but the data set declares 0 to 2 "
        f"(background, liver, nodule)"
    )


def test_float_labels(clinic: Clinic, only) -> None:
    clinic.write(clinic.mask(2), clinic.volume(2)[1].astype(np.float32))
    issues = clinic.issues()
    issue = only(issues, "float labels")
    assert (issue.level, issue.repairable) == ("warning", True)
    assert str(clinic.mask(2)) in issue.message
    assert "uint8 (9), float32 (1)" in only(issues, "dtype").message


def test_fractions(clinic: Clinic, only) -> None:
    mask = clinic.volume(2)[1].astype(np.float32)
    mask[0, 0, :3] = 0.5, np.nan, 1.25
    clinic.write(clinic.mask(2), mask)
    issue = only(clinic.issues(), "fractions")
    assert f"{clinic.mask(2)}: 3 voxels of this mask" in issue.message


def test_empty_mask(clinic: Clinic, only) -> None:
    clinic.write(clinic.mask(3), np.zeros((16, 17, 12), np.uint8))
    issue = only(clinic.issues(), "empty mask")
    assert issue.level == "warning"
    assert str(clinic.mask(3)) in issue.message


def test_a_label_that_never_occurs(clinic: Clinic, only) -> None:
    for number in range(10):
        clinic.write(clinic.mask(number), np.minimum(clinic.volume(number)[1], 1))
    assert "nodule occurs in no mask" in only(clinic.issues(), "absent label").message


def test_duplicates_on_one_side_are_a_warning_across_the_split_an_error(
    clinic: Clinic, only, tmp_path: Path
) -> None:
    shutil.copy(clinic.image(0), clinic.image(1))
    issue = only(clinic.issues(), "duplicates")
    assert (issue.level, issue.groups) == ("warning", (("case_00", "case_01"),))
    assert pre_training_audit(clinic.index(), clinic.split(), tmp_path) == []
    shutil.copy(clinic.image(0), clinic.image(9))
    for issues in (clinic.issues(), pre_training_audit(clinic.index(), clinic.split(), tmp_path)):
        issue = only(issues, "duplicates across")
        assert issue.level == "error"
        assert "case_00 (train), case_01 (train), case_09 (test)" in issue.message
        assert "data.exclude=" in issue.advice


def test_a_patient_across_the_split(clinic: Clinic, only) -> None:
    index = clinic.index()
    index.patients = ("p_one", *index.patients[1:8], "p_one", index.patients[9])
    issue = only(audit(index, clinic.split())[0], "patients across")
    assert issue.message == (
        "1 patients are on several sides of the split, such as the one of "
        "case_00 (train), case_08 (test)"
    )
    alone = Split("0", tuple(clinic.cases[:8]), (), tuple(clinic.cases[8:9]))
    assert "patients across" in {f.kind for f in audit(index, alone)[0]}


def test_channels(clinic: Clinic, only) -> None:
    clinic.write(clinic.image(2), np.stack([clinic.volume(2)[0]] * 2, axis=-1))
    issue = only(clinic.issues(), "channels")
    assert issue.level == "error"
    assert "1 (9), 2 (1)" in issue.message
    assert str(clinic.image(2)) in issue.message


def test_scales_and_outliers(clinic: Clinic, only) -> None:
    for number in range(5):
        clinic.write(clinic.image(number), 40 * clinic.volume(number)[0])
    assert "differ in intensity scale" in only(clinic.issues(), "scales").message
    wide = np.diag([0.8, 0.8, 7.0, 1.0])
    for path, values in zip((clinic.image(9), clinic.mask(9)), clinic.volume(9), strict=True):
        clinic.write(path, values, wide)
    issue = next(f for f in clinic.issues() if f.kind == "outlier in spacing")
    assert issue.level == "note"
    assert f"{clinic.image(9)} (7)" in issue.message
    assert "median 2" in issue.message


def test_mixed_image_types_are_a_warning(clinic: Clinic, only) -> None:
    clinic.write(clinic.image(0), clinic.volume(0)[0].astype(np.int16))
    issue = only(clinic.issues(), "dtype")
    assert issue.level == "warning"
    assert "float32 (9), int16 (1)" in issue.message
    assert issue.cases == ("case_00",)


def test_every_file_is_opened_once(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    read = Path.open

    def counting(path: Path, *how: Any, **more: Any) -> Any:
        opened.append(path)
        return read(path, *how, **more)

    monkeypatch.setattr(Path, "open", counting)
    clinic.issues()
    assert sorted(opened) == sorted(clinic.root.rglob("*.nii.gz"))


def test_processes_find_the_same(clinic: Clinic) -> None:
    clinic.write(clinic.image(8), np.full((16, 17, 12), 25, np.float32))
    index = clinic.index()
    one, several = (audit(index, clinic.split(), num_processes=n)[0] for n in (1, 2))
    assert [replace(f) for f in one] == several
