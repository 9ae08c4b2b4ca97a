"""Volumes that a 2-D net sees slice by slice: masks are those of the net on each slice."""

import runpy
import sys
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.core.labels import Labels
from medlight.data.datamodule import DataModule
from medlight.data.sampling import SampleIndex
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.phantom import Phantom2DDataModule
from medlight.inference.sliding_window import SlidingWindow
from medlight.jobs.export import export
from medlight.jobs.predict import predict
from medlight.tasks.segmentation import SegmentationTask
from medlight.tasks.trained_model import TrainedModel
from medlight.transforms.volume import Volume

PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}
SHAPE = (12, 10, 8)
"""In RAS."""


def model(plane: str, **volume: Any) -> TrainedModel:
    torch.manual_seed(5)
    shape = [n for axis, n in enumerate(SHAPE) if axis != PLANES[plane]][::-1]
    net = partial(UNet, channels=(4, 8), strides=(2,), num_res_units=1)
    labels = Labels(("background", "liver", "tumour"), "mask")
    spec = DataSpec(2, 1, labels, patch=tuple(shape), slices=plane, modality=("MRI",))
    task = SegmentationTask(net=net, spec=spec, loss=torch.nn.CrossEntropyLoss())
    return TrainedModel(
        name="seg/run", digest="0", task=task.eval(), recipe={}, device=torch.device("cpu"),
        transforms=Volume(**volume),
    )  # fmt: skip


def save_as(path: Path, ras: np.ndarray, codes: str) -> Path:
    """The same volume with its axes stored in another order and direction."""
    affine = np.diag([1.5, 2.0, 3.0, 1.0])
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    stored = nib.orientations.apply_orientation(ras, turn)
    nib.save(nib.Nifti1Image(stored, affine @ inv_ornt_aff(turn, ras.shape)), path)
    return path


def on_screen(plane: torch.Tensor) -> torch.Tensor:
    """Of a volume in RAS: up is anterior or superior, left is right or anterior; and back."""
    return plane.T.flip(0, 1)


def by_hand(trained: TrainedModel, ras: np.ndarray, plane: str) -> np.ndarray:
    """(*S) labels: each slice through the net, stacked."""
    axis = PLANES[plane]
    seen = torch.from_numpy((ras - ras.mean()) / ras.std()).float()
    labels = []
    for number in range(ras.shape[axis]):
        picture = on_screen(seen.select(axis, number))
        with torch.inference_mode():
            mask = trained.task.net(picture[None, None])[0].argmax(0)
        labels.append(on_screen(mask).numpy())
    return np.stack(labels, axis)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA", "PIR"])
def test_the_mask_of_a_volume_is_that_of_each_slice(tmp_path: Path, plane: str, codes: str) -> None:
    ras = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    file = save_as(tmp_path / "case.nii.gz", ras, codes)
    trained = model(plane)
    predict(
        runs=[Path("run")], load=lambda run, checkpoint: trained, inference=SlidingWindow(),
        input=file, output=tmp_path / "out",
    )  # fmt: skip
    mask = nib.load(tmp_path / "out" / "case.nii.gz")
    np.testing.assert_allclose(mask.affine, nib.load(file).affine)
    labels = np.asarray(nib.as_closest_canonical(mask).dataobj)
    np.testing.assert_array_equal(labels, by_hand(trained, ras, plane))
    assert len(np.unique(labels)) > 1


def test_the_export_of_a_run_on_slices_predicts_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ras = np.random.default_rng(1).normal(size=(19, 21, 13)).astype(np.float32)
    save_as(tmp_path / "case.nii.gz", ras, "PIR")
    spaced = model("coronal", spacing_mm=(1.2, None, 2.5))  # within slices alone
    given: Any = {"load": lambda run, checkpoint: spaced, "inference": SlidingWindow(overlap=0.3)}
    export(run=tmp_path, **given, format="torch_export", output=tmp_path / "artifact")
    predict(runs=[tmp_path], **given, input=tmp_path / "case.nii.gz", output=tmp_path / "ours")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "case.nii.gz", "theirs.nii.gz"])
    runpy.run_path("artifact/run.py", run_name="__main__")
    ours, theirs = nib.load(tmp_path / "ours/case.nii.gz"), nib.load(tmp_path / "theirs.nii.gz")
    same = np.asarray(ours.dataobj) == np.asarray(theirs.dataobj)
    assert same.mean() > 0.999
    np.testing.assert_allclose(ours.affine, theirs.affine)
    card = (tmp_path / "artifact/MODEL_CARD.md").read_text()
    assert "Takes 3-D MRI, and sees it in coronal slices." in card


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    DecathlonDataModule.fake(root, cases=6)
    return root


def decathlon(folder: Path, **options: Any) -> DecathlonDataModule:
    options = {"slices": "axial", "patch": "auto", "transforms": Volume()} | options
    return DecathlonDataModule(root=folder, cache=folder / "cache", **options)


@pytest.mark.parametrize("plane", PLANES)
def test_a_training_batch_holds_slices_of_the_volumes(folder: Path, plane: str) -> None:
    data = decathlon(folder, slices=plane, batch_size=3)
    data.setup()
    volumes = DecathlonDataModule(root=folder, cache=folder / "cache", transforms=Volume())
    volumes.setup()
    whole = volumes.train_set[0]
    axis = PLANES[plane]
    height, width = (n for a, n in reversed(list(enumerate(whole["image"].shape[1:]))) if a != axis)
    [image], [mask] = (
        data.train_set.with_patch((height, width)).__getitems__([SampleIndex(0, 0, 4)])[key]
        for key in ("image", "mask")
    )
    assert image.shape == (1, height, width)
    kept = [
        number
        for number in range(whole["image"].shape[axis + 1])
        if torch.equal(on_screen(whole["image"][0].select(axis, number)), image[0])
        and torch.equal(on_screen(whole["mask"][0].select(axis, number)), mask[0])
    ]
    assert len(kept) == 1
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (3, 1, *data.spec.patch)
    assert batch["mask"].shape == batch["image"].shape
    spacing = np.delete(volumes.train_cases.spacing_mm, axis, 1)[:, ::-1]
    assert data.spec.spacing_low_mm == tuple(spacing.min(axis=0))


def test_an_epoch_sees_as_many_slices_as_there_are(folder: Path) -> None:
    data = decathlon(folder, batch_size=1)
    slices = sum(nib.load(file).shape[2] for file in _train_images(data))
    assert len(data.train_dataloader()) == slices
    assert len(decathlon(folder, batch_size=1, epoch_samples=7).train_dataloader()) == 7


def _train_images(data: DataModule) -> list[Path]:
    return [data.cases[case].files["image"].path for case in data.split.train]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slices": "transverse"}, "must be one of axial, coronal, sagittal or null"),
        ({"patch": (16, 16, 1)}, "2 numbers for the height and width of slices"),
        ({"patch": None}, "slices differ in size.*data.patch=auto"),
    ],
)
def test_slices_that_cannot_be_cut_are_refused(
    folder: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        decathlon(folder, **options).train_dataloader()


def test_pictures_have_no_slices(tmp_path: Path) -> None:
    data = Phantom2DDataModule(cache=tmp_path, n_cases=10, slices="axial")
    with pytest.raises(ConfigError, match="cuts volumes, but these images have 2 axes"):
        data.setup()


def test_a_net_for_volumes_is_refused(folder: Path) -> None:
    class Volumes(torch.nn.Conv3d):
        def __init__(self, *, spatial_dims: int, in_channels: int, out_channels: int) -> None:
            super().__init__(in_channels, out_channels, 3, padding=1)

    data = decathlon(folder)
    data.setup()
    with pytest.raises(ConfigError, match=r"Volumes is a net for volumes.*data.slices=axial"):
        SegmentationTask(net=Volumes, spec=data.spec, loss=torch.nn.CrossEntropyLoss())
