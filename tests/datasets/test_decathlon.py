"""The Decathlon's format in both layouts, and what may be wrong with it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medlight.core.errors import ConfigError, DataError, DataNotFoundError, SplitError
from medlight.core.grid import Grid
from medlight.core.split import make_split
from medlight.datasets.decathlon import TASKS, DecathlonDataModule
from medlight.io.nifti import write_nifti
from medlight.jobs.check import check_before_training

TASK = "Task04_Hippocampus"


def module(root: Path, **options: object) -> DecathlonDataModule:
    return DecathlonDataModule(root=root, cache=root.parent / "cache", **options)  # type: ignore[arg-type]


@pytest.fixture
def official(tmp_path: Path) -> Path:
    DecathlonDataModule.fake(tmp_path / "data", cases=8)
    return tmp_path / "data" / TASK


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "dataset.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def subjects(root: Path, *, sides: dict[str, list[str]], suffix: str = ".nii.gz") -> Path:
    for side, names in sides.items():
        for name in names:
            for role in ("img", "label"):
                values = np.zeros((8, 8, 8), "u1" if role == "label" else "f4")
                values[2:4] = 1
                write_nifti(root / side / name / f"{role}{suffix}", values, Grid((8, 8, 8)))
    return root


def test_official_layout(official: Path) -> None:
    for root in (official, official.parent):
        data = module(root)
        assert data.cases.labels.names == ("background", "Anterior", "Posterior")
        assert data.cases.labels.kind == "mask"
        assert data.cases.ids == tuple(f"hippocampus_{k:03d}" for k in range(1, 9))
        assert data.cases.patients == data.cases.ids
        assert data.modalities == ("MRI",)
        assert not data.cases.public  # the right name proves nothing


@pytest.mark.parametrize("kind", ["tar", "gztar", "zip"])
def test_archive(official: Path, tmp_path: Path, kind: str) -> None:
    expected = module(official).index()
    archive = shutil.make_archive(str(tmp_path / TASK), kind, official.parent)
    shutil.rmtree(official)
    for root in (Path(archive), tmp_path):
        assert module(root).index().fingerprint() == expected.fingerprint()


def test_release_is_not_needed_however_it_is_spelt(official: Path) -> None:
    edit(official, relase="1.0", licence=None, reference=None, numTest=None, test=None)
    assert module(official).index().sources[0].version == "1.0"


def test_litter_is_skipped(official: Path) -> None:
    listed = json.loads((official / "dataset.json").read_text())["training"]
    litter = {
        "image": "./imagesTr/._hippocampus_001.nii.gz",
        "label": "./labelsTr/._hippocampus_001.nii.gz",
    }
    edit(official, training=[litter, *listed])
    assert len(module(official).index()) == 8


def test_four_dimensions(tmp_path: Path) -> None:
    folder = tmp_path / "Task05_Prostate"
    DecathlonDataModule.fake(tmp_path, cases=6)
    (tmp_path / TASK).rename(folder)
    for path in (folder / "imagesTr").glob("[!.]*.nii.gz"):
        values = np.random.default_rng(0).normal(size=(12, 11, 9, 2)).astype("f4")
        write_nifti(path, values, Grid((12, 11, 9)))
        write_nifti(folder / "labelsTr" / path.name, np.ones((12, 11, 9), "u1"), Grid((12, 11, 9)))
    edit(
        folder,
        modality={"1": "ADC", "0": "T2"},
        tensorImageSize="4D",
        labels={"1": "PZ", "0": "background", "2": "TZ"},
    )
    data = module(tmp_path, task="Task05_Prostate", patch=[8, 8, 8])
    assert data.modalities == ("T2", "ADC")
    data.setup()
    assert data.spec.channels == 2
    assert data.spec.labels.names == ("background", "PZ", "TZ")
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (4, 2, 8, 8, 8)
    assert batch["mask"].shape == (4, 1, 8, 8, 8)


def test_all_missing_files_are_named_before_training(official: Path) -> None:
    (official / "labelsTr" / "hippocampus_003.nii.gz").unlink()
    (official / "imagesTr" / "hippocampus_005.nii.gz").unlink()
    with pytest.raises(
        DataError, match=r"labelsTr/hippocampus_003\.nii\.gz: there is no such file \(1 more\)"
    ):
        check_before_training(module(official))
    check_before_training(module(official, exclude=["hippocampus_003", "hippocampus_005"]))


def test_entry_without_a_label_is_named(official: Path) -> None:
    listed = json.loads((official / "dataset.json").read_text())["training"]
    del listed[0]["label"]
    edit(official, training=listed)
    with pytest.raises(DataError, match=r"1 cases have no mask: hippocampus_001"):
        check_before_training(module(official))


def test_entry_without_an_image_is_named(official: Path) -> None:
    edit(official, training=[{"label": "./labelsTr/hippocampus_001.nii.gz"}])
    with pytest.raises(DataError, match=r"hippocampus_001.*has no image"):
        module(official).index()


@pytest.mark.parametrize(
    "labels", [{"background": 0, "organ": 1}, {"0": "background", "2": "organ"}, ["a"]]
)
def test_labels_that_are_not_numbered(official: Path, labels: object) -> None:
    edit(official, labels=labels)
    with pytest.raises(DataError, match=r"dataset\.json: expected labels"):
        module(official).index()


@pytest.mark.parametrize("training", [7, True, "x", {"image": "x"}, []])
def test_a_list_that_is_none(official: Path, training: object) -> None:
    edit(official, training=training)
    with pytest.raises(DataError, match=r"no training cases|a list of training cases"):
        module(official).index()


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_broken_json_is_named(official: Path, text: str) -> None:
    (official / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json: "):
        module(official).index()


def test_another_task_is_not_taken_for_this_one(official: Path) -> None:
    other = official.rename(official.with_name("Task09_Spleen"))
    with pytest.raises(ConfigError, match=r"type data\.task=Task09_Spleen"):
        module(other).index()
    assert len(module(other, task="Task09_Spleen").index()) == 8


def test_own_data_is_not_public(official: Path) -> None:
    assert not module(official.rename(official.with_name("mine"))).index().public


def test_missing_task_says_how_to_get_it(tmp_path: Path) -> None:
    assert len(TASKS) == 10
    with pytest.raises(DataNotFoundError, match=r"Task02_Heart\.tar") as caught:
        module(tmp_path, task="Task02_Heart").index()
    assert "data.download=true" in str(caught.value)
    with pytest.raises(DataNotFoundError) as caught:
        module(tmp_path, task="mine").index()
    assert "data.download" not in str(caught.value)


SUBJECTS = {
    "train": [f"subject_{k:03d}" for k in range(1, 7)],
    "valid": ["subject_007", "subject_008"],
}


@pytest.mark.parametrize("inner", [".", "segmentation"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_subject_folders(tmp_path: Path, inner: str, suffix: str) -> None:
    subjects(tmp_path / "data" / inner, sides=SUBJECTS, suffix=suffix)
    (tmp_path / "data" / inner / "train" / "._subject_001").write_bytes(b"litter")
    data = module(
        tmp_path / "data", class_names=["background", "organ"], modality=["CT"], patch=[8, 8, 8]
    )
    assert data.split.test == ("subject_007", "subject_008")
    assert data.split.fold == "own"
    assert len(data.split.val) == 1
    assert data.modalities == ("CT",)
    assert not data.cases.public
    assert next(iter(data.train_dataloader()))["mask"].max() == 1
    with pytest.raises(SplitError, match=r"data\.fold=0"):
        make_split(data.cases, fold=0, folds=5, val_fraction=0.1)


def test_subject_folders_need_names(tmp_path: Path) -> None:
    data = module(subjects(tmp_path / "data", sides=SUBJECTS))
    with pytest.raises(ConfigError, match=r"data has no dataset\.json; type data\.class_names="):
        data.index()
    with pytest.raises(ConfigError, match=r"type data\.modality="):
        _ = data.modalities


def test_subject_folders_with_a_dataset_json(tmp_path: Path) -> None:
    root = subjects(tmp_path / "data", sides=SUBJECTS)
    (root / "dataset.json").write_text(
        '{"labels": {"0": "background", "1": "organ"}, "modality": {"0": "CT"}}'
    )
    data = module(root)
    assert data.cases.labels.names == ("background", "organ")
    assert data.modalities == ("CT",)
    assert len(data.split.test) == 2


def test_a_subject_on_both_sides_is_refused(tmp_path: Path) -> None:
    root = subjects(tmp_path / "data", sides={"train": ["a", "b"], "valid": ["b", "c"]})
    with pytest.raises(SplitError, match="'b' is both in train/ and in valid/"):
        module(root, class_names=["background", "organ"]).index()


def test_a_subject_without_its_mask_is_named(tmp_path: Path) -> None:
    root = subjects(tmp_path / "data", sides=SUBJECTS)
    (root / "valid" / "subject_007" / "label.nii.gz").unlink()
    with pytest.raises(DataError, match=r"1 cases have no mask: subject_007"):
        check_before_training(module(root, class_names=["background", "organ"]))


def test_the_tolerance_of_a_task_is_the_published_one_unless_another_is_asked_for(
    official: Path,
) -> None:
    for task, tolerance_mm in (("Task03_Liver", 7), ("Dataset001_Own", None)):
        assert DecathlonDataModule(root=official, task=task).tolerance_mm == tolerance_mm
        assert DecathlonDataModule(root=official, task=task, tolerance_mm=3).tolerance_mm == 3


def test_nnunets_layouts_are_named(official: Path) -> None:
    for path in (official / "imagesTr").glob("h*.nii.gz"):
        path.rename(path.with_name(path.name.replace(".nii", "_0000.nii")))
    with pytest.raises(DataError, match=r"001_0000, as nnU-Net does; type data=nnunet"):
        module(official).index()
    edit(official, training=None, channel_names={"0": "MRI"}, labels={"background": 0, "a": 1})
    for known in ({}, {"class_names": ["background", "a"], "modality": "MR"}):
        with pytest.raises(DataError, match=r"this is nnU-Net's layout; type data=nnunet"):
            module(official, **known).index()
