"""nnU-Net's own layout, version 2 and 1: every channel, label and fold as nnU-Net means them."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medlight.core.errors import MedlightError, SplitError
from medlight.core.split import make_split
from medlight.datasets._fake_data import ORGANS
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.nnunet import NNUNetDataModule
from medlight.io.read import read_image
from medlight.transforms.volume import Volume

NAME = "Dataset007_Phantom"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("raw")
    NNUNetDataModule.fake(root, cases=6)
    return root / NAME


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(drawn, tmp_path / NAME, copy_function=os.link))


def change(folder: Path, name: str = "dataset.json", **entries: Any) -> dict[str, Any]:
    """Set entries of a json, or take away those that are None."""
    content = json.loads((folder / name).read_text()) | entries
    content = {key: value for key, value in content.items() if value is not None}
    (folder / name).unlink()
    (folder / name).write_text(json.dumps(content))
    return content


def write_folds(path: Path, *folds: dict[str, list[str]]) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(folds))


def made(root: Path, **options: Any) -> NNUNetDataModule:
    return NNUNetDataModule(root=root, cache=root.parent / "cache", **options)


def test_channels_labels_and_ignored_voxels_are_nnunets(drawn: Path) -> None:
    data = made(drawn)
    case = data.cases["case_02"]
    assert [path.name for path in case.files["image"].paths] == [
        "case_02_0000.nii.gz",
        "case_02_0001.nii.gz",
    ]
    assert data.cases.labels.names == ("background", "liver", "kidneys", "nodule")
    assert (data.ignored_label, data.scored_regions) == (4, {})
    assert (data.modalities, data.spatial_dims) == (("T1", "T2"), 3)
    data.setup()
    assert (data.spec.channels, data.spec.ignore) == (2, 4)


def test_a_channel_called_ct_gets_the_window(folder: Path) -> None:
    change(folder, channel_names={"0": "CT", "1": "T2"})
    data = made(folder, transforms=Volume(window_hu=(0, 100)))
    data.setup()
    image = data.train_set[0]["image"]
    assert (float(image[0].min()), float(image[0].max())) == (0, 1)
    assert float(image[1].mean()) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("options", [{}, {"task": NAME}])
@pytest.mark.parametrize("above", [False, True])
def test_a_raw_root_or_the_folder_itself(drawn: Path, options: dict[str, str], above: bool) -> None:
    assert made(drawn.parent if above else drawn, **options).folder == drawn


def test_folds_of_the_file_and_nnunets_own_without_it(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    everyone = [f"case_{k:02d}" for k in range(6)]
    split = made(folder, fold=1).split
    assert split.test == ("case_01",)
    assert sorted((*split.train, *split.val)) == [c for c in everyone if c != "case_01"]
    assert len(split.val) == 1
    write_folds(
        folder / "splits_final.json",
        {"train": everyone[:3], "val": everyone[4:]},
        {"train": everyone[:2], "val": everyone[2:3], "test": everyone[4:]},
    )
    assert made(folder).split.test == tuple(everyone[4:])
    assert "case_03" not in {*made(folder).split.train, *made(folder).split.val}
    own = made(folder, fold=1).split
    assert (own.train, own.val, own.test) == tuple(
        map(tuple, (everyone[:2], everyone[2:3], everyone[4:]))
    )
    assert made(folder, fold="all").split.train == tuple(everyone)
    assert "1 cases are in none of these folds: case_03" in caplog.text
    assert made(folder, fold=0, exclude=["case_04"]).split.test == ("case_05",)
    for options, words in (({"fold": 2}, "expected 0 to 1"), ({"folds": 3}, "names 2; leave")):
        with pytest.raises(SplitError, match=words):
            _ = made(folder, **options).split
    (folder / "splits_final.json").unlink()
    data = made(folder, fold=3)
    dealt = make_split(data.cases, fold=3, folds=5, val_fraction=0.1)
    assert data.split.hash == dealt.hash


def test_folds_in_the_preprocessed_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "splits_final.json").unlink()
    place = folder.parent / "pre" / NAME
    write_folds(place / "splits_final.json", {"train": ["case_05"], "val": ["case_00"]})
    monkeypatch.setenv("nnUNet_preprocessed", str(place.parent))
    assert (made(folder).split.train, made(folder).split.test) == (("case_05",), ("case_00",))


def test_a_fold_that_names_a_patient_twice_or_nobody(folder: Path) -> None:
    path = folder / "splits_final.json"
    for fold, words in (
        ({"train": ["case_00"], "val": ["case_00"]}, "two sides of the split"),
        ({"train": ["case_00"], "val": ["case_77"]}, "fold 0 names 'case_77'"),
        ({"train": ["case_00"]}, "fold 0 lacks a list train or val"),
        ({"train": "case_00", "val": []}, "fold 0 lacks a list train or val"),
    ):
        write_folds(path, fold)
        with pytest.raises(MedlightError, match=words):
            _ = made(folder).split


def test_regions(folder: Path) -> None:
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    change(folder, labels=labels, regions_class_order=[1, 2, 3])
    data = made(folder)
    assert data.cases.labels.names == ("background", "label 1", "label 2", "enhancing")
    assert data.scored_regions == {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    assert data.ignored_label == 4
    assert made(folder, regions={"all": [1, 2, 3]}).scored_regions == {"all": [1, 2, 3]}


def _lose(*names: str):
    return lambda folder: [(folder / name).unlink() for name in names]


def _rename(name: str, other: str):
    return lambda folder: (folder / name).rename(folder / other)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_lose("dataset.json"), "has no dataset.json"),
        (
            _lose("imagesTr/case_03_0001.nii.gz"),
            r"case 'case_03' is incomplete: channel 1 \(T2\) is missing, case_03_0001.nii.gz",
        ),
        (_lose("imagesTr/case_03_0000.nii.gz"), r"channel 0 \(T1\) is missing"),
        (
            _rename("imagesTr/case_03_0001.nii.gz", "imagesTr/case_03_0002.nii.gz"),
            r"channel 1 \(T2\) is missing",
        ),
        (
            lambda f: change(f, channel_names={"0": "T1"}),
            "it has a channel 1, but channel_names ends at 0",
        ),
        (_rename("imagesTr/case_03_0001.nii.gz", "imagesTr/case_03.nii.gz"), "case_03_0000.nii.gz"),
        (
            _lose("imagesTr/case_03_0000.nii.gz", "imagesTr/case_03_0001.nii.gz"),
            r"labelsTr/case_03.nii.gz \(1 in all\) has no image",
        ),
        (lambda f: change(f, file_ending=None), 'expected "file_ending"'),
        (lambda f: change(f, file_ending=3), 'expected "file_ending"'),
        (lambda f: change(f, file_ending=".nrrd"), "is file_ending right"),
        (lambda f: change(f, channel_names=None), "names no channels"),
        (lambda f: change(f, channel_names=["T1", "T2"]), "expected channel_names"),
        (_rename("imagesTr/case_03_0001.nii.gz", "imagesTr/x\ty_0000.nii.gz"), "is incomplete"),
        (_rename("labelsTr/case_03.nii.gz", "labelsTr/x\ty.nii.gz"), "has no image"),
        (
            lambda f: change(f, dataset={"a": {"images": ["x", "y"], "label": "z\tw"}}),
            "must not hold tabs",
        ),
        (lambda f: change(f, dataset=[]), '"dataset" lists no cases'),
        (lambda f: change(f, dataset={"a": {"images": ["x"]}}), "of case 'a'"),
        (lambda f: change(f, dataset={"a": {"images": ["x"], "label": "y"}}), "has 1 images"),
        (
            lambda f: change(f, dataset={"a": {"images": ["$SECRET/x", "y"], "label": "z"}}),
            r"\$SECRET is not set, or none of nnUNet_raw",
        ),
    ],
)
def test_folders_that_nnunet_refuses(
    folder: Path, spoil: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    spoil(folder)
    with pytest.raises(MedlightError, match=words) as raised:
        made(folder).index()
    assert "\n" not in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_a_case_without_its_label_is_left_to_the_audit(folder: Path) -> None:
    (folder / "labelsTr/case_03.nii.gz").unlink()
    assert not made(folder).cases["case_03"].files["mask"].path.exists()


def test_another_set_in_the_root(folder: Path) -> None:
    with pytest.raises(MedlightError, match=f"type data.task={NAME}"):
        made(folder, task="Dataset008_Other").index()
    shutil.copytree(folder, folder.parent / "Dataset008_Other", copy_function=os.link)
    with pytest.raises(MedlightError, match=f"one of {NAME}, Dataset008_Other"):
        made(folder.parent).index()


def test_slices_in_nifti_are_pictures(folder: Path) -> None:
    for path in [*folder.glob("images*/*"), *folder.glob("labels*/*")]:
        image = nib.load(path)
        flat = nib.Nifti1Image(np.asarray(image.dataobj)[:20, :20, 9], image.affine)
        path.unlink()
        nib.save(flat, path)
    data = made(folder)
    data.setup()
    assert (data.spec.spatial_dims, data.spec.channels) == (2, 2)


def test_an_archive_of_it(folder: Path) -> None:
    shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
    data = made(folder.with_name(f"{NAME}.zip"))
    assert len(data.cases) == 6
    assert data.folder.name == NAME


def test_paths_of_each_case(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_raw", str(folder.parent))
    elsewhere = folder.parent / "elsewhere"
    (folder / "imagesTr").rename(elsewhere)
    images = [f"../elsewhere/case_01_{k:04d}.nii.gz" for k in range(2)]
    mask = f"${{nnUNet_raw}}/{NAME}/labelsTr/case_01.nii.gz"
    change(folder, dataset={"one": {"images": images, "label": mask}})
    case = made(folder).index()["one"]
    assert all(path.is_file() for ref in case.files.values() for path in ref.paths)
    assert read_image(case.files["image"])[0].shape[0] == 2


@pytest.mark.parametrize("listed", ["case_{}", "case_{}_0000"])
def test_version_1(folder: Path, listed: str, caplog: pytest.LogCaptureFixture) -> None:
    """nnUNet#1644: its list leaves _0000 out, which data=decathlon took for missing files."""
    labels = dict(zip("01234", (*ORGANS, "ignore"), strict=True))
    pairs = [
        {"image": f"./imagesTr/{listed.format(k)}.nii.gz", "label": f"./labelsTr/case_{k}.nii.gz"}
        for k in ("00", "01", "02", "03")
    ]
    entries = {"channel_names": None, "file_ending": None, "modality": {"0": "T1", "1": "T2"}}
    change(folder, labels=labels, training=pairs, **entries)
    data = made(folder)
    assert data.full_index.ids == ("case_00", "case_01", "case_02", "case_03")
    assert "2 cases" in caplog.text
    assert "left out, as training does not list them: case_04" in caplog.text
    assert (data.cases.labels.names[1], data.ignored_label) == ("liver", 4)
    if "_0000" not in listed:
        with pytest.raises(MedlightError, match=r"type data=nnunet data\.root="):
            DecathlonDataModule(root=folder, task=NAME).index()
    (folder / "imagesTr/case_02_0000.nii.gz").unlink()
    (folder / "imagesTr/case_02_0001.nii.gz").unlink()
    with pytest.raises(MedlightError, match="training lists 'case_02'"):
        made(folder).index()


def test_each_form_is_told_from_the_other(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MedlightError, match=r"type data=nnunet data\.root="):
        DecathlonDataModule(root=folder, task=NAME).index()
    DecathlonDataModule.fake(tmp_path, cases=2)
    task = "Task04_Hippocampus"
    with pytest.raises(MedlightError, match=f"type data=decathlon data.task={task}"):
        made(tmp_path / task).index()
