"""The images that somebody wants predicted, wherever they lie."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medlight.core.errors import DataError, DataNotFoundError
from medlight.io.inputs import InputCase, find_inputs


def inputs(where: object, *, channels: int = 1, spatial_dims: int = 3) -> list[InputCase]:
    return find_inputs(where, channels=channels, spatial_dims=spatial_dims)


def volume(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 2), np.float32), np.eye(4)), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        volume(tmp_path / "task/imagesTs" / f"case_{number}.nii.gz")
    return tmp_path / "task"


def test_a_folder_a_file_a_pattern_and_a_list(tmp_path: Path, folder: Path) -> None:
    (folder / "dataset.json").write_text("{}")
    (folder / "imagesTs/._case_0.nii.gz").write_bytes(b"litter")
    images = folder / "imagesTs"
    names = ["case_0", "case_1", "case_2"]
    for where in (folder, images, images / "*.nii.gz", folder / "**/*", [images, folder]):
        assert [case.name for case in inputs(where)] == names, where
    assert inputs(images / "case_1.nii.gz")[0].files == (images / "case_1.nii.gz",)
    assert [c.name for c in inputs(tmp_path / "task", channels=2)] == names
    with pytest.raises(DataNotFoundError, match="no such file or folder"):
        inputs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataNotFoundError, match="holds no images"):
        inputs(tmp_path / "empty")
    (tmp_path / "empty/imagesTr").mkdir()
    with pytest.raises(DataNotFoundError, match="has no imagesTs"):
        inputs(tmp_path / "empty")
    volume(images / "case_1.nii")
    with pytest.raises(DataError, match=r"would both be predicted as case_1"):
        inputs(images)


def test_pictures_beside_volumes_are_passed_over(folder: Path) -> None:
    Image.new("L", (4, 4)).save(folder / "imagesTs/screenshot.png")
    for where in (folder, folder / "imagesTs/*"):
        assert [case.name for case in inputs(where)] == ["case_0", "case_1", "case_2"]
        assert len(inputs(where, spatial_dims=2)) == 4
    [named] = inputs(folder / "imagesTs/screenshot.png")
    assert named.name == "screenshot"  # who names a file hears what is wrong with it


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (("0000", "0002"), "p has 0000, 0002"),
        (("0001", "0002"), "p has 0001, 0002"),
        (("0000",), "p has 0000;"),
        (("0000", "0001", "0002"), "p has 0000, 0001, 0002"),
    ],
)
def test_wrong_channel_numbers_are_refused(
    tmp_path: Path, numbers: tuple[str, ...], says: str
) -> None:
    for number in numbers:
        volume(tmp_path / f"p_{number}.nii.gz")
    with pytest.raises(DataError, match=rf"files that end in _0000, _0001, but {says}"):
        inputs(tmp_path, channels=2)


def test_files_that_hold_all_channels_are_cases_of_their_own(tmp_path: Path) -> None:
    for number in range(2):
        path = tmp_path / f"patient_{number:04d}.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros((3, 4, 2, 2), np.float32), np.eye(4)), path)
    assert [len(case.files) for case in inputs(tmp_path, channels=2)] == [1, 1]
    volume(tmp_path / "q_0000.nii.gz")
    volume(tmp_path / "q_0001.nii.gz")
    assert [case.name for case in inputs(tmp_path, channels=2)] == [
        "patient_0000",
        "patient_0001",
        "q",
    ]
    volume(tmp_path / "q.nii.gz")
    with pytest.raises(DataError, match="would both be predicted as q"):
        inputs(tmp_path, channels=2)


def test_linked_folders_are_followed_and_loops_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for name in ("sub-01", "sub-02"):
        volume(tmp_path / "elsewhere" / name / "t1.nii.gz")
    volume(tmp_path / "links/sub-00/t1.nii.gz")
    for name in ("sub-01", "sub-02"):
        (tmp_path / "links" / name).symlink_to(tmp_path / "elsewhere" / name)
    (tmp_path / "links/sub-00/again").symlink_to(tmp_path / "links")
    (tmp_path / "links/gone.nii.gz").symlink_to(tmp_path / "nowhere.nii.gz")
    names = ["sub-00/t1", "sub-01/t1", "sub-02/t1"]
    assert [case.name for case in inputs(tmp_path / "links")] == names
    assert caplog.messages == ["passed over: again, gone.nii.gz"]
    assert [case.name for case in inputs(tmp_path / "links/sub-*")] == names
    (tmp_path / "elsewhere/sub-01/back").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/sub-02/back").symlink_to(tmp_path / "elsewhere")
    assert inputs([tmp_path / "links/**/sub-00/t1.nii.gz"])[0].name == "t1"


def test_what_is_left_out_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What came in is what went out and what was named."""
    caplog.set_level("INFO")
    volume(tmp_path / "a.nii.gz")
    (tmp_path / "series").mkdir()
    others = ["b.mnc", "c.img", "d.nii.gz.part", *(f"series/{k}.dcm" for k in range(3)), "IM1"]
    for name in others:
        (tmp_path / name).write_bytes(b"NRRD")
    assert [case.name for case in inputs(tmp_path)] == ["a"]
    assert caplog.messages == ["passed over: 3 .dcm, IM1, b.mnc, c.img, d.nii.gz.part"]
    (tmp_path / "a.nii.gz").unlink()
    with pytest.raises(DataNotFoundError, match=r"holds no images; .* there are 3 \.dcm, IM1"):
        inputs(tmp_path)


def test_labels_beside_their_images_are_no_images(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for number in (90, 91):
        for name in ("img", "label"):
            volume(tmp_path / f"valid/{number}/{name}.nii.gz")
    assert [case.name for case in inputs(tmp_path / "valid")] == ["90/img", "91/img"]
    assert caplog.messages == ["passed over: 2 labels"]
    for side in ("imagesTs", "labelsTs", "imagesTr", "labelsTr"):
        volume(tmp_path / "all/Task" / side / "c.nii.gz")
    names = ["Task/imagesTr/c", "Task/imagesTs/c"]
    assert [case.name for case in inputs(tmp_path / "all")] == names


def test_dots_count_below_the_named_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume(tmp_path / ".hidden/a.nii.gz")
    volume(tmp_path / ".hidden/.inner/b.nii.gz")
    (tmp_path / ".hidden/sub").mkdir()
    monkeypatch.chdir(tmp_path / ".hidden/sub")
    for where in (tmp_path / ".hidden", "../*.nii.gz", "..", "../a.nii.gz"):
        assert [case.name for case in inputs(where)] == ["a"], where


def test_a_file_that_is_named_twice_is_one_case(tmp_path: Path) -> None:
    volume(tmp_path / "in/sub/a.nii.gz")
    for twice in ([tmp_path / "in", tmp_path / "in/sub/a.nii.gz"], [tmp_path / "in"] * 2):
        assert [case.name for case in inputs(twice)] == ["sub/a"]
