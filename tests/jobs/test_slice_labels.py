"""Slices of volumes as pictures with a class, from masks or from a table."""

import csv
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.core.labels import Labels
from medlight.data.slice_dataset import LabelledSlices
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.resumable_csv import ResumableCsv
from medlight.jobs.export import export
from medlight.jobs.predict import predict
from medlight.tasks.classification import ClassificationTask
from medlight.tasks.trained_model import TrainedModel
from medlight.transforms.volume import Volume

WORLD = {"sagittal": "LR", "coronal": "PA", "axial": "IS"}
STORED_AS = ("RAS", "LPS", "SLA", "PIR", "ASL")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Volumes whose files lie in several orientations."""
    root = tmp_path_factory.mktemp("data")
    DecathlonDataModule.fake(root, cases=10)
    files = sorted((root / "Task04_Hippocampus").glob("*Tr/[!.]*.nii.gz"))
    for number, file in enumerate(files):
        image = nib.load(file)
        codes = axcodes2ornt(STORED_AS[number % len(STORED_AS)])
        image.as_reoriented(ornt_transform(io_orientation(image.affine), codes)).to_filename(file)
    return root


def decathlon(folder: Path, **options: Any) -> DecathlonDataModule:
    given = {"slices": "axial", "slice_labels": "mask", "patch": "auto", "transforms": Volume()}
    return DecathlonDataModule(root=folder, cache=folder / "cache", **(given | options))


def file_axis(file: Path, plane: str) -> int:
    codes = nib.aff2axcodes(nib.load(file).affine)
    return next(axis for axis, code in enumerate(codes) if code in WORLD[plane])


def mask_table(data: DecathlonDataModule, plane: str) -> list[dict[str, Any]]:
    """Read from the files, slice by slice, whether masks are empty."""
    rows = []
    for case in data.cases:
        file = case.files["mask"].path
        mask = np.moveaxis(np.asarray(nib.load(file).dataobj), file_axis(file, plane), 0)
        for number, slice_ in enumerate(mask):
            label = "foreground" if slice_.any() else "background"
            rows.append({"case": case.id, "slice": number, "label": label})
    return rows


def write_table(path: Path, rows: list[dict[str, Any]]) -> str:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, ["case", "slice", "label"])
        table.writeheader()
        table.writerows(rows)
    return str(path)


@pytest.mark.parametrize("plane", WORLD)
def test_labels_from_a_table_are_those_of_the_masks(
    folder: Path, tmp_path: Path, plane: str
) -> None:
    masks = decathlon(folder, slices=plane)
    table = write_table(tmp_path / "t.csv", mask_table(masks, plane))
    named = decathlon(folder, slices=plane, slice_labels=table)
    for data in (masks, named):
        data.setup()
    one, other = masks.train_set, named.train_set
    assert isinstance(one, LabelledSlices)
    assert isinstance(other, LabelledSlices)
    labels = dict(zip(one.ids, one.targets.tolist(), strict=True))
    assert labels == dict(zip(other.ids, other.targets.tolist(), strict=True))
    assert masks.spec.class_counts == named.spec.class_counts
    assert masks.spec.labels == named.spec.labels
    case = masks.cases[masks.case_of(one.ids[0])]
    assert (
        len([i for i in one.ids if masks.case_of(i) == case.id])
        == (nib.load(case.files["image"].path).shape[file_axis(case.files["image"].path, plane)])
    )


@pytest.mark.parametrize("plane", WORLD)
def test_a_sample_is_the_slice_that_its_id_names(folder: Path, plane: str) -> None:
    data = decathlon(folder, slices=plane)
    [batch] = data.test_dataloader().dataset.__getitems__([5])  # type: ignore[union-attr]
    case, number = batch["case"].rsplit("/", 1)
    file = data.cases[case].files["image"].path
    volume = nib.load(file)
    codes = nib.aff2axcodes(volume.affine)
    values = np.asarray(volume.dataobj, np.float32)
    values = (values - values.mean()) / values.std()
    plain = np.take(values, int(number), file_axis(file, plane))
    rest = [code for code in codes if code not in WORLD[plane]]
    rows = [code in "SI" or (code in "AP" and plane == "axial") for code in rest].index(True)
    plain = plain if rows == 0 else plain.T
    rest = rest if rows == 0 else rest[::-1]
    plain = plain[:: -1 if rest[0] in "SA" else 1, :: -1 if rest[1] in "RA" else 1]
    np.testing.assert_allclose(batch["image"][0], plain, atol=2e-3)


@pytest.mark.parametrize("fold", range(5))
def test_slices_of_a_patient_lie_on_one_side(folder: Path, tmp_path: Path, fold: int) -> None:
    """Two volumes of each patient."""
    plain = decathlon(folder)
    rows = [f"{case},{number // 2}" for number, case in enumerate(plain.cases.ids)]
    (tmp_path / "patients.csv").write_text("\n".join(["case,patient", *rows]))
    data = decathlon(folder, patient=str(tmp_path / "patients.csv"), fold=fold)
    data.setup()
    sides = [data.train_set, *(
        loader.dataset for loader in (data.val_dataloader(), data.test_dataloader())
    )]  # fmt: skip
    patients = [{data.cases[data.case_of(slice_)].patient for slice_ in side.ids} for side in sides]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 5
    assert sum(len(side.ids) for side in sides) == len(mask_table(data, "axial"))


def test_a_training_batch_holds_pictures_with_their_labels(folder: Path) -> None:
    data = decathlon(folder, batch_size=4, augment=None)
    loader = data.train_dataloader()
    assert len(loader) == round(len(data.train_set) / 4)
    batch = next(iter(loader))
    assert batch["image"].shape == (4, 1, *data.spec.patch)
    assert "mask" not in batch
    assert data.spec.spatial_dims == 2
    rows = [index.row for index in next(iter(loader.batch_sampler))]
    assert batch["label"].tolist() == data.train_set.targets[rows].tolist()
    for row, image in zip(rows, batch["image"], strict=True):  # patches of these very slices
        whole = data.train_set[row]["image"]
        inside = image[image != image.min()]
        assert torch.isin(inside, whole).all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hippocampus_001,99,background", "has no slice 99: its slices are 0 to 2"),
        ("nobody,1,background", r"line \d+: there is no case 'nobody'"),
        ("hippocampus_001,-1,background", r"line \d+: there is no slice '-1'"),
        ("hippocampus_001,0,foreground", "slice 0 of hippocampus_001 has two labels"),
        ("hippocampus_001,0,", "expected two labels or more"),
    ],
)
def test_what_a_table_gets_wrong_is_said(
    folder: Path, tmp_path: Path, line: str, message: str
) -> None:
    data = decathlon(folder)
    table = write_table(tmp_path / "t.csv", mask_table(data, "axial"))
    with Path(table).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ConfigError, match=message):
        decathlon(folder, slice_labels=table, fold="all").setup()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slices": None}, "needs a plane: type data.slices=axial"),
        ({"slice_labels": "masks"}, "neither mask nor a table"),
        ({"transforms": Volume(spacing_mm=(1.0, 1.0, 1.7))}, r"spacing_mm=\[0.8,0.8,null\]"),
    ],
)
def test_slices_that_cannot_be_labelled_are_refused(
    folder: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        decathlon(folder, **options).setup()


def test_a_volume_without_a_label_and_a_class_without_a_slice_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    rows = mask_table(decathlon(folder), "axial")
    few = [row for row in rows if row["case"] != "hippocampus_002"]
    with pytest.raises(ConfigError, match="no slice of 'hippocampus_002' has a label"):
        decathlon(folder, slice_labels=write_table(tmp_path / "few.csv", few), fold="all").setup()
    test = decathlon(folder).split.test
    one = [row | {"label": "rare"} if row["case"] in test else row for row in rows]
    with pytest.raises(ConfigError, match="no training slice is 'rare'"):
        decathlon(folder, slice_labels=write_table(tmp_path / "one.csv", one)).setup()


class Mean(torch.nn.Module):
    def __init__(self, *, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(in_channels, out_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.linear(image.flatten(2).mean(2))


def classifier() -> TrainedModel:
    torch.manual_seed(0)
    spec = DataSpec(2, 1, Labels(("background", "foreground"), "multiclass"), slices="axial")
    task = ClassificationTask(net=Mean, spec=spec, loss=torch.nn.CrossEntropyLoss())
    return TrainedModel(
        name="cls/run", digest="0", task=task.eval(), recipe={}, device=torch.device("cpu"),
        transforms=Volume(),
    )  # fmt: skip


def test_predict_gives_a_row_for_each_slice_of_the_file(folder: Path, tmp_path: Path) -> None:
    model = classifier()
    given: Any = {"runs": [Path("run")], "load": lambda run, checkpoint: model}
    given |= {"inference": SlidingWindow(), "input": folder / "Task04_Hippocampus/imagesTr"}
    predict(**given, output=tmp_path)
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    for case in decathlon(folder).cases:
        file = case.files["image"].path
        values = np.moveaxis(np.asarray(nib.load(file).dataobj), file_axis(file, "axial"), 0)
        values = (values - values.mean()) / values.std()
        mine = [row for row in rows if row["case"] == case.id]
        assert [int(row["slice"]) for row in mine] == list(range(len(values)))
        means = torch.from_numpy(values.mean((1, 2))).float()[:, None, None, None]
        with torch.inference_mode():
            p = model.task.net(means).softmax(1)[:, 1]
        np.testing.assert_allclose([float(row["p_foreground"]) for row in mine], p, atol=1e-5)
    before = (tmp_path / "predictions.csv").read_text()
    (tmp_path / "predictions.csv").write_text(before[: before.rfind("hippocampus_010")])
    columns = before.splitlines()[0].split(",")[:-1]
    kept = ResumableCsv(tmp_path / "predictions.csv", columns, rows_per_case=None)
    assert "hippocampus_010" not in kept.lines, "a case that lacks a slice is not done"
    predict(**given, output=tmp_path)
    assert (tmp_path / "predictions.csv").read_text() == before


def test_a_run_that_classifies_slices_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="classifies slices of volumes, which no export does"):
        export(run=tmp_path, load=lambda run, checkpoint: classifier(), inference=SlidingWindow())
