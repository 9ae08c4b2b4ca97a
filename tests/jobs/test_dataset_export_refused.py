"""What cannot be written in another form is refused in one line, and leaves nothing behind."""

from pathlib import Path
from typing import Any

import pytest

from medlight.core.errors import MedlightError
from medlight.datasets.mednist import MedNISTDataModule
from medlight.datasets.nnunet import NNUNetDataModule
from medlight.jobs.dataset_export import export_dataset


@pytest.mark.parametrize(
    ("form", "name", "options", "words"),
    [
        ("nifti", "Dataset001_A", {}, "format=nifti: must be one of nnunet, decathlon"),
        ("nnunet", "balls", {}, r"type output=.*/Dataset101_Name"),
        ("nnunet", "Dataset001_A", {"ignore": 0}, "cannot ignore label 0"),
        ("nnunet", "Dataset001_A", {"regions": {"a": [2, 3]}}, r"no region holds label 1 \(liver"),
        ("decathlon", "full", {}, "is there already"),
    ],
)
def test_what_a_form_cannot_hold(
    tmp_path: Path, form: str, name: str, options: Any, words: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    NNUNetDataModule.fake(tmp_path / "in", cases=5)
    data = NNUNetDataModule(root=tmp_path / "in", cache=tmp_path / "cache", **options)
    with pytest.raises(MedlightError, match=words) as raised:
        export_dataset(data, form=form, output=tmp_path / name)
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("cache", "in")] == [
        "full"
    ]


def test_a_missing_file_leaves_nothing_behind(tmp_path: Path) -> None:
    NNUNetDataModule.fake(tmp_path / "in", cases=6)
    data = NNUNetDataModule(root=tmp_path / "in", cache=tmp_path / "cache")
    data.cases["case_04"].files["mask"].path.unlink()
    with pytest.raises(MedlightError, match=r"case_04.nii.gz: there is no such file"):
        export_dataset(data, form="nnunet", output=tmp_path / "out" / "Dataset001_A")
    assert not list((tmp_path / "out").iterdir())


def test_classes_have_no_masks(tmp_path: Path) -> None:
    MedNISTDataModule.fake(tmp_path / "in", cases=12)
    data = MedNISTDataModule(root=tmp_path / "in", cache=tmp_path / "cache")
    with pytest.raises(MedlightError, match="one label per image, but format=nnunet holds masks"):
        export_dataset(data, form="nnunet", output=tmp_path / "Dataset001_A")
