"""Predicting files: whatever folder they come in, whatever happens on the way."""

import csv
import json
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from PIL import Image

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError, DataError
from medlight.core.labels import Labels
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.inputs import InputCase, find_inputs
from medlight.jobs.predict import predict
from medlight.tasks.classification import ClassificationTask
from medlight.tasks.segmentation import SegmentationTask
from medlight.tasks.trained_model import TrainedModel
from medlight.transforms.radiograph import Radiograph
from medlight.transforms.volume import Volume

ORGANS = Labels(("background", "liver", "tumour"), "mask")
AFFINE = np.array([[0, 0, -2.0, 30], [1.5, 0, 0, -8], [0, 1.0, 0, 4], [0, 0, 0, 1]])
SMALL_UNET = partial(UNet, channels=(4, 8), strides=(2,), num_res_units=1)


class Mean(torch.nn.Module):
    """A net for classes."""

    def __init__(self, *, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(in_channels, out_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.linear(image.flatten(2).mean(2))


def trained(seed: int, *, channels: int = 1, patch: int = 8, classes: bool = False) -> TrainedModel:
    torch.manual_seed(seed)
    if classes:
        spec = DataSpec(2, channels, Labels(("Hand", "Chest"), "multiclass"))
        task = ClassificationTask(net=Mean, spec=spec, loss=torch.nn.CrossEntropyLoss())
    else:
        spec = DataSpec(3, channels, ORGANS, patch=(patch,) * 3, mirror_axes=(0,))
        task = SegmentationTask(net=SMALL_UNET, spec=spec, loss=torch.nn.CrossEntropyLoss())
    return TrainedModel(
        name=f"seg/{seed}",
        digest=str(seed),
        task=task.eval(),
        transforms=Radiograph(size=(8, 8)) if classes else Volume(),
        recipe={},
        device=torch.device("cpu"),
    )


def predicted(
    seeds: str, where: object, output: Path, *, channels: int = 1, tta: bool = False,
    classes: bool = False, **options: bool,
) -> None:  # fmt: skip
    """By runs that are called by their seeds; those above 4 were trained on other windows."""

    def load(run: Path, checkpoint: str) -> TrainedModel:
        number = int(run.name)
        return trained(number, channels=channels, patch=8 if number < 5 else 12, classes=classes)

    predict(
        runs=[Path(seed) for seed in seeds], load=load, inference=SlidingWindow(tta=tta),
        input=where, output=output, **options,
    )  # fmt: skip


def inputs(where: object, *, channels: int = 1, spatial_dims: int = 3) -> list[InputCase]:
    return find_inputs(where, channels=channels, spatial_dims=spatial_dims)


def volume(path: Path, *, channels: int = 1, seed: int = 0) -> Path:
    shape = (11, 14, 9) if channels == 1 else (11, 14, 9, channels)
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, AFFINE), path)
    return path


def read(path: Path) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        volume(tmp_path / "task/imagesTs" / f"case_{number}.nii.gz", seed=number)
    return tmp_path / "task"


def test_subfolders_are_part_of_the_name(tmp_path: Path) -> None:
    for name in ("a/scan.nii", "b/scan.nii"):
        volume(tmp_path / "in" / name)
    predicted("1", tmp_path / "in", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").glob("*.nii.gz")) == [
        "a__scan.nii.gz", "b__scan.nii.gz",
    ]  # fmt: skip


def test_two_cases_are_never_written_to_one_file(tmp_path: Path) -> None:
    for name in ("P1/t1.nii.gz", "P1__t1.nii.gz"):
        volume(tmp_path / "in" / name)
    with pytest.raises(ConfigError, match="would both be written to P1__t1"):
        predicted("1", tmp_path / "in", tmp_path / "out")


def test_channels_in_one_file_or_in_several(tmp_path: Path) -> None:
    whole = volume(tmp_path / "one/brain.nii.gz", channels=2)
    for number in range(2):
        part = nib.Nifti1Image(read(whole)[..., number], AFFINE)
        (tmp_path / "two").mkdir(exist_ok=True)
        nib.save(part, tmp_path / f"two/brain_{number:04}.nii.gz")
    for name in ("one", "two"):
        predicted("1", tmp_path / name, tmp_path / f"{name}_out", channels=2)
    ours = [tmp_path / f"{name}_out/brain.nii.gz" for name in ("one", "two")]
    np.testing.assert_array_equal(*map(read, ours))
    assert read(ours[0]).shape == (11, 14, 9)
    (tmp_path / "two/brain_0001.nii.gz").unlink()
    with pytest.raises(DataError, match="_0000, _0001, but brain has 0000;"):
        predicted("1", tmp_path / "two", tmp_path / "less", channels=2)
    nnunet = volume(tmp_path / "nnunet/x_0000.nii.gz")
    assert inputs(nnunet.parent)[0].name == "x"
    volume(tmp_path / "nnunet/x_0017.nii.gz")
    assert len(inputs(nnunet.parent)) == 2


def test_channels_must_lie_on_one_grid(tmp_path: Path) -> None:
    volume(tmp_path / "in/a_0000.nii.gz")
    image = nib.Nifti1Image(np.zeros((11, 14, 9), np.float32), np.eye(4))
    nib.save(image, tmp_path / "in/a_0001.nii.gz")
    with pytest.raises(DataError, match="does not lie on the grid of a_0000"):
        predicted("1", tmp_path / "in", tmp_path / "out", channels=2)


def test_masks_volumes_and_what_they_were_made_by(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    predicted("12", folder, out, tta=True, probabilities=True, uncertainty=True)
    rows = table(out / "volumes.csv")
    assert [(row["case"], row["class"]) for row in rows[:3]] == [
        ("case_0", "liver"), ("case_0", "tumour"), ("case_1", "liver"),
    ]  # fmt: skip
    mask = nib.load(out / "case_0.nii.gz")
    labels = read(out / "case_0.nii.gz")
    np.testing.assert_allclose(mask.affine, AFFINE, atol=1e-6)
    assert (labels.dtype, labels.shape) == (np.uint8, (11, 14, 9))
    assert int(rows[0]["voxels"]) == (labels == 1).sum()
    assert float(rows[0]["volume_ml"]) == pytest.approx((labels == 1).sum() * 1.5 * 1 * 2 / 1000)
    p = nib.load(out / "probabilities/case_0.nii.gz").get_fdata()
    np.testing.assert_array_equal(p.argmax(-1), labels)
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-4)
    entropy = nib.load(out / "entropy/case_0.nii.gz").get_fdata()
    expected = -(p * np.log(p.clip(1e-9))).sum(-1) / np.log(3)
    np.testing.assert_allclose(entropy, expected, atol=2e-3)
    disagreement = nib.load(out / "disagreement/case_0.nii.gz").get_fdata()
    assert 0 <= disagreement.min() <= disagreement.max() <= entropy.max()
    assert disagreement.max() > 0
    about = json.loads((out / "predicted_by.json").read_text())
    assert [run["name"] for run in about["runs"]] == ["seg/1", "seg/2"]
    assert about["mirrored"] == [0]
    assert str(tmp_path) not in json.dumps(about)


def test_an_ensemble_is_the_mean_even_where_windows_differ(tmp_path: Path, folder: Path) -> None:
    for seeds in ("1", "5", "15"):
        predicted(seeds, folder, tmp_path / seeds, probabilities=True)
    one, five, both = (
        nib.load(tmp_path / seeds / "probabilities/case_1.nii.gz").get_fdata()
        for seeds in ("1", "5", "15")
    )
    np.testing.assert_allclose(both, (one + five) / 2, atol=1e-4)


def test_what_is_done_is_not_done_again(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    predicted("1", folder, out)

    def times() -> list[int]:
        return [(out / f"case_{n}.nii.gz").stat().st_mtime_ns for n in range(3)]

    first = times()
    predicted("1", folder, out)
    assert times() == first
    (out / "case_0.nii.gz").unlink()
    text = (out / "volumes.csv").read_text()
    (out / "volumes.csv").write_text(text[: text.index("case_2,tumour")] + "case_2,tum")
    volume(folder / "imagesTs/case_3.nii.gz", seed=7)
    predicted("1", folder, out)
    again = times()
    assert [a == b for a, b in zip(first, again, strict=True)] == [False, True, False]
    assert (out / "volumes.csv").read_text().startswith(text)
    predicted("2", folder, out)
    assert not set(times()) & set(again)
    middle = times()
    volume(folder / "imagesTs/case_1.nii.gz", seed=9)
    predicted("2", folder, out)
    assert [a == b for a, b in zip(middle, times(), strict=True)] == [True, False, True]


def test_damaged_masks_are_made_again(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    predicted("1", folder, out, probabilities=True)
    before = {p: p.read_bytes() for p in sorted(out.rglob("*.nii.gz"))}
    assert len(before) == 6
    for number, path in enumerate(before):
        path.write_bytes(before[path][: (0, 30, -3)[number % 3]])
    predicted("1", folder, out, probabilities=True)
    assert {p: p.read_bytes() for p in before} == before


def test_masks_of_several_runs_are_not_mixed(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    predicted("1", folder / "imagesTs/case_0.nii.gz", out)
    predicted("1", folder / "imagesTs/case_1.nii.gz", out)
    assert len(table(out / "volumes.csv")) == 4
    before = {p: p.read_bytes() for p in out.iterdir()}
    for seeds, options in (("2", {}), ("1", {"uncertainty": True})):
        with pytest.raises(ConfigError, match=r"holds 2 cases that other runs .*\(case_0\)"):
            predicted(seeds, folder / "imagesTs/case_2.nii.gz", out, **options)
    assert {p: p.read_bytes() for p in out.iterdir()} == before
    predicted("2", folder, out)
    assert len(table(out / "volumes.csv")) == 6


def test_a_case_that_fails_is_told_and_the_others_go_on(tmp_path: Path, folder: Path) -> None:
    (folder / "imagesTs/case_1.nii.gz").write_bytes(b"no volume")
    holes = np.full((9, 9, 9), np.nan, np.float32)
    nib.save(nib.Nifti1Image(holes, np.eye(4)), folder / "imagesTs/case_9.nii.gz")
    with pytest.raises(DataError) as caught:
        predicted("1", folder, tmp_path / "out")
    assert "2 of 4 cases could not be predicted" in str(caught.value)
    assert "case_1: " in str(caught.value)
    assert "case_9: " in str(caught.value)
    assert "not finite" in str(caught.value)
    assert sorted(p.name for p in (tmp_path / "out").glob("*.nii.gz")) == [
        "case_0.nii.gz", "case_2.nii.gz",
    ]  # fmt: skip


def test_what_is_read_is_never_written_over(folder: Path) -> None:
    before = read(folder / "imagesTs/case_0.nii.gz")
    for output in (folder, folder / "imagesTs"):
        with pytest.raises(ConfigError, match="name another folder"):
            predicted("1", folder, output)
    np.testing.assert_array_equal(read(folder / "imagesTs/case_0.nii.gz"), before)


def test_classes_get_a_line_each(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(70):
        shape = (8, 8) if number % 3 else (9, 10)
        picture = Image.fromarray(random.integers(0, 255, shape, np.uint8))
        (tmp_path / "in/new").mkdir(parents=True, exist_ok=True)
        picture.save(tmp_path / f"in/new/{number:03}.png")
    (tmp_path / "in/new/bad.jpg").write_bytes(b"no picture")
    out = tmp_path / "out"
    for _ in range(2):
        with pytest.raises(DataError, match="1 of 71 cases could not be predicted"):
            predicted("12", tmp_path / "in", out, classes=True, uncertainty=True)
    rows = table(out / "predictions.csv")
    assert [row["case"] for row in rows] == [f"new/{number:03}" for number in range(70)]
    for row in rows:
        hand, chest = float(row["p_Hand"]), float(row["p_Chest"])
        assert hand + chest == pytest.approx(1, abs=1e-5)
        assert row["prediction"] == ("Hand" if hand > chest else "Chest")
        assert 0 <= float(row["disagreement"]) <= float(row["entropy"]) <= 1


def test_runs_that_cannot_answer_together(tmp_path: Path, folder: Path) -> None:
    def load(run: Path, checkpoint: str) -> TrainedModel:
        return trained(1, channels=int(run.name))

    with pytest.raises(ConfigError, match="channels differ, 1 and 2"):
        predict(
            runs=[Path("1"), Path("2")], load=load, inference=SlidingWindow(),
            input=folder, output=tmp_path / "out",
        )  # fmt: skip
