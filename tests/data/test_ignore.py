"""Voxels that do not count, such as 255: the number needs no name, and must be there."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet

from medlight.audit.audit import audit
from medlight.core.errors import ConfigError, DataError
from medlight.core.labels import Labels
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.inference.sliding_window import SlidingWindow
from medlight.metrics.segmentation_cases import SegmentationScorer
from medlight.tasks.segmentation import SegmentationTask

NAMES = ["background", "a", "b"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six cases, the last half of each of which is 255."""
    random = np.random.default_rng(0)
    for number in range(6):
        mask = random.integers(0, 3, (8, 8, 8)).astype(np.uint8)
        mask[4:] = 255
        for side, values in (("img", random.normal(size=mask.shape).astype("f4")), ("label", mask)):
            path = tmp_path / f"data/{'valid' if number > 4 else 'train'}/{number}/{side}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    return tmp_path / "data"


def module(root: Path, ignore: object) -> DecathlonDataModule:
    return DecathlonDataModule(
        root=root, cache=root.parent / "cache", class_names=NAMES, modality="MR", patch=(8, 8, 8),
        ignore=ignore, batch_size=2,
    )  # type: ignore[arg-type]  # fmt: skip


def test_an_ignored_number_needs_no_name_in_training_and_tests(root: Path) -> None:
    data = module(root, 255)
    data.setup()
    task = SegmentationTask(
        net=lambda spatial_dims, in_channels, out_channels: UNet(
            spatial_dims, in_channels, out_channels, channels=(4, 8), strides=(2,)
        ),
        spec=data.spec,
        loss=DiceCELoss(to_onehot_y=True, softmax=True),
    )
    task.inference = SlidingWindow()
    batch = next(iter(data.train_dataloader()))
    assert (batch["mask"] == 255).any()
    assert torch.isfinite(task.step(batch))
    with torch.no_grad():
        [result] = task.infer(next(iter(data.test_dataloader())))
    assert [row["class"] for row in result.rows] == ["a", "b"]
    scorer = SegmentationScorer(3, {"a": (1,), "b": (2,)})
    prediction, truth = result.source_prediction, data.cases[-1].files["mask"]
    half = np.asarray(nib.load(truth).dataobj)[:4]
    expected = scorer.dice_rows("5", prediction[:4], half)
    assert [row["dice"] for row in result.rows] == [row["dice"] for row in expected]
    issues, _ = audit(data.cases, data.split, ignore=255)
    assert not [issue for issue in issues if issue.level == "error"]


def test_scores_are_those_of_a_named_label() -> None:
    random = np.random.default_rng(1)
    reference = random.integers(0, 4, (6, 7, 8))
    prediction = random.integers(0, 3, reference.shape)
    named = SegmentationScorer.from_labels(Labels((*NAMES, "x"), "mask"), ignore=3)
    unnamed = SegmentationScorer.from_labels(Labels(tuple(NAMES), "mask"), ignore=255)
    hidden = np.where(reference == 3, 255, reference)
    assert named.dice_rows("c", prediction, reference) == unnamed.dice_rows("c", prediction, hidden)
    with pytest.raises(ValueError, match="the reference holds labels from 0 to 3"):
        unnamed.dice_rows("c", prediction, reference)


@pytest.mark.parametrize("ignore", [99, 3])
def test_a_number_that_no_mask_holds_is_refused_at_the_start(root: Path, ignore: int) -> None:
    for path in root.rglob("label.nii.gz"):
        mask = np.asarray(nib.load(path).dataobj)
        nib.save(nib.Nifti1Image(np.where(mask == 255, 0, mask), np.eye(4)), path)
    with pytest.raises(ConfigError, match=rf"data.ignore={ignore}: no mask holds {ignore}, only"):
        module(root, ignore).setup()


@pytest.mark.parametrize("ignore", [-1, 256, 1.5, "x"])
def test_what_is_no_label_is_refused_at_once(root: Path, ignore: object) -> None:
    with pytest.raises(ConfigError, match="must be a label, 0 to 255"):
        module(root, ignore)


def test_other_labels_without_a_name_are_still_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"holds values from 0 to 255, .* by data.ignore=255"):
        module(root, None).setup()
    for path in root.rglob("label.nii.gz"):
        mask = np.asarray(nib.load(path).dataobj).copy()
        mask[0] = 7
        nib.save(nib.Nifti1Image(mask, np.eye(4)), path)
    with pytest.raises(DataError, match=r"so that 7 has no name; fix the mask or the labels$"):
        module(root, 255).setup()
