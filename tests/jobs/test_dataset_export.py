"""A data set written in another form and read again is the same data set."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from PIL import Image

from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.data.datamodule import DataModule
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.nnunet import NNUNetDataModule
from medlight.datasets.phantom import PhantomDataModule, PhantomMasksDataModule
from medlight.io.metaimage import write_meta
from medlight.io.nrrd import write_nrrd
from medlight.io.read import read_image, read_mask
from medlight.jobs.dataset_export import export_dataset
from medlight.tasks.segmentation import SegmentationTask
from medlight.transforms.volume import Volume

NAMES = {"nnunet": "Dataset101_Phantom", "decathlon": "Task101_Phantom"}
READERS: dict[str, type[DataModule]] = {
    "nnunet": NNUNetDataModule,
    "decathlon": DecathlonDataModule,
}
every_form = pytest.mark.parametrize("form", READERS)
Read = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


def export(data: DataModule, form: str, place: Path, **options: Any) -> DataModule:
    """Write it, and hand it back as its reader finds it."""
    folder = export_dataset(data, form=form, output=place / NAMES[form])
    options.setdefault("transforms", data.transforms)
    task = {"task": NAMES[form]} if form == "decathlon" else {}
    return READERS[form](root=folder, cache=place / "cache", **task, **options)


def voxels(data: DataModule) -> Read:
    """Image, affine and labels of each case."""
    found = {}
    for case in data.cases:
        image, grid = read_image(case.files["image"])
        found[case.id] = image, grid.affine, read_mask(case.files["mask"])[0]
    return found


def same(one: DataModule, other: DataModule, *, exact: bool = True) -> None:
    before, after = voxels(one), voxels(other)
    assert before.keys() == after.keys()
    for case, parts in before.items():
        for a, b in zip(parts, after[case], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=case)
    assert other.cases.labels == one.cases.labels
    assert other.cases.patients == one.cases.patients
    assert dict(other.scored_regions) == {k: tuple(v) for k, v in one.scored_regions.items()}
    assert other.ignored_label == one.ignored_label
    for fold in (0, 3):
        assert other.split_of(fold).hash == one.split_of(fold).hash


def losses(data: DataModule) -> list[float]:
    """Of twenty steps, as tests/tasks/test_golden.py takes them."""
    pl.seed_everything(0, verbose=False)
    data.setup()
    task = SegmentationTask(
        net=partial(UNet, channels=(4, 8), strides=(2,)),
        spec=data.spec,
        loss=DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True),
        optimizer=partial(torch.optim.AdamW, lr=3e-3),
    )
    seen: list[float] = []

    class Losses(pl.Callback):
        def on_train_batch_end(self, *args: Any) -> None:
            seen.append(float(args[2]["loss"]))

    pl.Trainer(
        max_steps=20,
        accelerator="cpu",
        callbacks=[Losses()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        limit_val_batches=0,
    ).fit(task, datamodule=data)
    return seen


@pytest.fixture(scope="module")
def decathlon(shared_cache: Path) -> DataModule:
    return PhantomDataModule(
        cache=shared_cache, n_cases=12, transforms=Volume(), patch=(16, 16, 16), batch_size=2
    )


@pytest.fixture(scope="module")
def golden(decathlon: DataModule) -> list[float]:
    return losses(decathlon)


@pytest.fixture(scope="module")
def two_channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("two")
    NNUNetDataModule.fake(root, cases=6)
    return root


@every_form
def test_cases_labels_and_twenty_losses_are_the_same(
    decathlon: DataModule, golden: list[float], form: str, tmp_path: Path
) -> None:
    again = export(decathlon, form, tmp_path, patch=(16, 16, 16), batch_size=2)
    same(decathlon, again)
    assert losses(again) == golden
    assert len(golden) == 20


@every_form
def test_files_that_can_stay_take_no_room(decathlon: DataModule, form: str, tmp_path: Path) -> None:
    again = export(decathlon, form, tmp_path)
    for one, other in zip(decathlon.cases, again.cases, strict=True):
        for role in ("image", "mask"):
            held = one.files[role].path, other.files[role].path
            assert held[0].samefile(held[1]) or held[0].read_bytes() == held[1].read_bytes()
    assert not list(tmp_path.glob(".*"))


@every_form
def test_regions_ignored_voxels_folds_and_patients_are_kept(
    two_channels: Path, form: str, tmp_path: Path
) -> None:
    regions = {"organs": [1, 2, 3], "small": [2, 3], "nodule": [3]}
    data = NNUNetDataModule(root=two_channels, cache=tmp_path / "cache", regions=regions)
    data.full_index.patients = ("a", "a", "b", "c", "d", "e")  # as data.patient groups them
    data.stated_folds = ()
    again = export(data, form, tmp_path)
    same(data, again)
    assert again.modalities == ("T1", "T2")
    assert again.cases.labels.names == ("background", "liver", "kidneys", "nodule")
    assert again.ignored_label == 4
    content = json.loads((again.cases.sources[0].root / "dataset.json").read_text())
    if form == "nnunet":
        assert content["labels"] == {"background": 0, **regions, "nodule": 3, "ignore": 4}
        assert content["regions_class_order"] == [1, 2, 3]


@every_form
def test_there_and_back(two_channels: Path, form: str, tmp_path: Path) -> None:
    """Channels in files become a fourth axis, and files again, bit for bit with their headers."""
    data = NNUNetDataModule(root=two_channels, cache=tmp_path / "cache")
    again = export(export(data, "decathlon", tmp_path / "there"), form, tmp_path / "back")
    same(data, again)
    if form == "nnunet":
        for one, other in zip(data.cases, again.cases, strict=True):
            held = zip(one.files["image"].paths, other.files["image"].paths, strict=True)
            for a, b in held:
                headers = [nib.load(path).header.binaryblock for path in (a, b)]
                assert headers[0] == headers[1]


@every_form
def test_folds_of_the_file_and_left_out_cases(
    two_channels: Path, form: str, tmp_path: Path
) -> None:
    data = NNUNetDataModule(root=two_channels, cache=tmp_path / "cache", exclude=["case_03"])
    again = export(data, form, tmp_path)
    assert "case_03" not in again.full_index.ids
    for fold in (0, 1):
        assert again.split_of(fold).test == data.split_of(fold).test
        assert again.split_of(fold).test == tuple(
            case for case in (f"case_{fold:02d}", f"case_{fold + 5:02d}") if case in data.cases.ids
        )


class Scaled(DataModule):
    """Two scaled channels in one file, a side for each case, and a label in the middle that is
    ignored."""

    spatial_dims = 3

    def index(self) -> Index:
        random = np.random.default_rng(0)
        records = []
        for case, side in enumerate(["train"] * 3 + ["val", "test"]):
            image = nib.Nifti1Image(
                random.integers(-99, 99, (8, 9, 10, 2)).astype(">i2"), np.diag([1, -2, 3, 1])
            )
            image.header.set_slope_inter(0.37, -12.5)
            mask = nib.Nifti1Image(random.integers(0, 4, (8, 9, 10)).astype(np.uint8), image.affine)
            for name, what in (("image", image), ("mask", mask)):
                nib.save(what, Path(self.root) / f"{case}_{name}.nii")
            files = {role: f"{case}_{role}.nii" for role in ("image", "mask")}
            about = {"files": files, "meta": {"split": side}}
            records.append({"id": f"site/{case}", "patient": f"p{case}", **about})
        labels = Labels(("background", "a", "unsure", "b"), "mask")
        source = Source(name="scaled", root=Path(self.root), public=False)
        return Index.from_records(labels=labels, sources=[source], records=records)


@every_form
def test_scaling_sides_and_ignored_labels(form: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    data = Scaled(root=tmp_path / "in", cache=tmp_path / "cache", ignore=2)
    again = export(data, form, tmp_path)
    for (image, affine, mask), other in zip(
        voxels(data).values(), voxels(again).values(), strict=True
    ):
        np.testing.assert_array_equal(image, other[0])
        np.testing.assert_array_equal(affine, other[1])
        new = np.array([0, 1, 3, 2] if form == "nnunet" else [0, 1, 2, 3])
        np.testing.assert_array_equal(new[mask], other[2])
    if form == "nnunet":
        assert again.cases.labels.names == ("background", "a", "b")
    assert again.ignored_label == (3 if form == "nnunet" else 2)
    assert again.cases.patients == data.cases.patients
    split = again.split_of(0)
    assert (split.train, split.val, split.test) == (
        ("site_0", "site_1", "site_2"),
        ("site_3",),
        ("site_4",),
    )


@every_form
@pytest.mark.parametrize(("suffix", "write"), [(".nrrd", write_nrrd), (".mha", write_meta)])
def test_other_volumes(
    two_channels: Path, tmp_path: Path, suffix: str, write: Any, form: str
) -> None:
    folder = tmp_path / NAMES["nnunet"]
    for path in sorted((two_channels / "Dataset007_Phantom").glob("*Tr/*")):
        target = folder / path.parent.name / path.name.replace(".nii.gz", suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        image, grid = read_image(path)
        write(target, image[0].clip(max=3 if "labels" in str(target) else None).astype("i2"), grid)
    content = json.loads((two_channels / "Dataset007_Phantom/dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(content | {"file_ending": suffix}))
    data = NNUNetDataModule(root=folder, cache=tmp_path / "cache")
    assert (data.spatial_dims, data.modalities) == (3, ("T1", "T2"))
    same(data, export(data, form, tmp_path / "out"))
    data = NNUNetDataModule(root=folder, cache=tmp_path / "cache", ignore=2)
    if form == "nnunet":  # its masks are numbered anew
        again = export(data, form, tmp_path / "again")
        assert again.cases[0].files["mask"].path.name.endswith(suffix)
        assert again.ignored_label == 3


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pictures(tmp_path: Path, suffix: str) -> None:
    data = PhantomMasksDataModule(cache=tmp_path / "cache", n_cases=6)
    if suffix == ".jpg":
        for case in data.full_index:
            path = case.files["image"].path
            rgb = np.asarray(Image.open(path).convert("RGB")) // np.uint8([1, 2, 3])
            Image.fromarray(rgb).save(path.with_suffix(".jpg"))
            path.unlink()
        column = data.full_index.files["image"]
        data.full_index._files["image"] = [name.replace(".png", ".jpg") for name in column]
    again = export(data, "nnunet", tmp_path)
    same(data, again)
    assert again.spatial_dims == 2
    assert len(again.modalities) == (3 if suffix == ".jpg" else 1)
