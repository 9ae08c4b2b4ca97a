"""Segmentation of whole images: sizes the net cannot take, windows, rows on the source's grid."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from torch.distributions import Categorical

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.inference.heads import ForegroundEntropy
from medlight.tasks.classification import ClassificationTask
from medlight.tasks.segmentation import SegmentationTask

ORGANS = Labels(("background", "liver", "tumour"), "mask")
SMALL_UNET = partial(UNet, channels=(4, 8, 16), strides=(2, 2), num_res_units=1)


def task_for(ndim: int, patch: tuple[int, ...] | None = None, **known: object) -> SegmentationTask:
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    spec = DataSpec(ndim, channels=2, labels=ORGANS, patch=patch, **known)
    return SegmentationTask(net=SMALL_UNET, spec=spec, loss=loss).eval()


@pytest.mark.parametrize("shape", [(13, 18), (9, 16, 7)])
def test_any_size_goes_in_and_comes_out(shape: tuple[int, ...]) -> None:
    task = task_for(len(shape))
    image = torch.rand(2, 2, *shape)
    output = task(image)
    assert output.shape == (2, 3, *shape)
    mask = torch.randint(0, 3, (2, 1, *shape))
    loss = task.step({"image": image, "mask": mask})
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in task.net.parameters())


def test_whole_cases_are_scored_on_the_grid_of_their_source() -> None:
    task = task_for(3, patch=(8, 8, 8))
    source_grid = Grid((10, 9, 12), np.diag([-1.0, 1.0, 1.0, 1.0]))
    grid = Grid((10, 9, 12), np.array([[1.0, 0, 0, -9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    reference = torch.randint(0, 3, source_grid.shape)
    batch = {
        "image": torch.rand(1, 2, *grid.shape),
        "mask": reference.flip(0)[None, None],
        "reference": [reference],
        "source_grid": [source_grid],
        "grid": [grid],
        "case": ["c"],
    }
    with torch.no_grad():
        [result] = task.infer(batch)
        del batch["reference"]
        [validated] = task.infer(batch)
    np.testing.assert_array_equal(result.source_prediction, result.prediction[::-1])
    assert result.source_grid == source_grid
    assert validated.source_prediction is None
    for row, quick in zip(result.rows, validated.rows, strict=True):
        assert row | quick == row  # a flip changes no score
    assert [row["class"] for row in result.rows] == ["liver", "tumour"]
    n_reference = [int((reference == k).sum()) for k in (1, 2)]
    assert [row["n_reference"] for row in result.rows] == n_reference


def whole_case(shape: tuple[int, ...]) -> dict[str, object]:
    grid, reference = Grid(shape), torch.randint(0, 3, shape)
    return {
        "image": torch.rand(1, 2, *shape), "mask": reference[None, None], "case": ["c"],
        "reference": [reference], "source_grid": [grid], "grid": [grid],
    }  # fmt: skip


def test_uncertainty_is_the_entropy_of_what_is_predicted() -> None:
    task, batch = task_for(3, patch=(8, 8, 8)), whole_case((13, 9, 12))
    with torch.no_grad():
        [result] = task.infer(batch)
        slabs = task.inference.slabs(batch["image"][0], task, (8, 8, 8))
        logits = torch.cat([part.clone() for part in slabs.parts], slabs.axis + 1)
    entropy = Categorical(logits=logits.movedim(0, -1)).entropy() / math.log(3)
    expected = entropy[logits.argmax(0) > 0].mean()
    assert [row["uncertainty"] for row in result.rows] == pytest.approx([float(expected)] * 2)


def test_where_nothing_is_predicted_what_was_nearly_found_counts() -> None:
    logits = torch.zeros(2, 4, 5)
    logits[0] = 9
    logits[0, 2, 2] = 0.5
    doubt = ForegroundEntropy()
    for part in (logits[:, :2], logits[:, 2:]):
        doubt.add(part)
    p = torch.sigmoid(torch.tensor(0.5)).item()
    expected = -(p * math.log2(p) + (1 - p) * math.log2(1 - p))
    assert doubt.value == pytest.approx(expected, rel=1e-5)


def test_members_answer_in_place_of_the_task() -> None:
    task, batch = task_for(2), whole_case((16, 12))
    others = [task_for(2), task_for(2)]
    with torch.no_grad():
        [alone] = task.infer(batch)
        task.nets = [task, task]
        [twice] = task.infer(batch)
        task.nets = others
        [both] = task.infer(batch)
        mean = sum(other(batch["image"]).softmax(1) for other in others)
    np.testing.assert_array_equal(alone.source_prediction, twice.source_prediction)
    np.testing.assert_array_equal(both.source_prediction, mean[0].argmax(0))


def test_regions_are_scored_in_validation_and_tests() -> None:
    task = task_for(2, regions=(("whole", (1, 2)), ("tumour", (2,))))
    batch = whole_case((16, 12))
    with torch.no_grad():
        [tested] = task.infer(batch)
        del batch["reference"]
        [validated] = task.infer(batch)
    for result in (tested, validated):
        assert [row["class"] for row in result.rows] == ["whole", "tumour"]
        assert result.rows[0]["n_reference"] == int((batch["mask"] > 0).sum())
    assert {"dice/whole", "dice/tumour"} < set(task.outcome.summarise(tested.rows))


def test_ignored_voxels_teach_nothing() -> None:
    task = task_for(2, ignore=2)
    image, mask = torch.rand(1, 2, 16, 16), torch.randint(0, 2, (1, 1, 16, 16))
    mask[..., :5] = 2
    output = torch.randn(1, 3, 16, 16, requires_grad=True)
    task.loss(*task._loss_inputs(output, mask)).backward()
    assert output.grad is not None
    assert not output.grad[..., :5].any()
    assert output.grad[..., 5:].abs().min() > 0
    assert torch.isfinite(task.step({"image": image, "mask": mask}))
    plain = task_for(2)
    assert plain._loss_inputs(output, mask)[0] is output


def test_cases_without_truth_are_predicted_and_not_scored() -> None:
    task = task_for(2)
    grid = Grid((10, 9))
    batch = {"image": torch.rand(1, 2, 10, 9), "source_grid": [grid], "grid": [grid], "case": ["c"]}
    with torch.no_grad():
        [result] = task.infer(batch)
    assert result.rows == ()
    assert result.source_prediction.shape == (10, 9)
    assert result.source_prediction.dtype == np.uint8


def test_each_task_refuses_the_data_of_the_other() -> None:
    classes = DataSpec(2, 1, Labels(("a", "b"), "multiclass"))
    with pytest.raises(ConfigError, match="task=classification"):
        SegmentationTask(net=SMALL_UNET, spec=classes, loss=torch.nn.CrossEntropyLoss())
    with pytest.raises(ConfigError, match="task=segmentation"):
        ClassificationTask(
            net=SMALL_UNET, spec=DataSpec(2, 1, ORGANS), loss=torch.nn.CrossEntropyLoss()
        )


def test_more_labels_than_a_predicted_mask_holds_are_refused() -> None:
    for count in (256, 257):
        labels = Labels(("background", *(f"c{k}" for k in range(1, count))), "mask")
        spec = DataSpec(3, channels=1, labels=labels)
        if count == 256:
            SegmentationTask.check_data(spec)
            continue
        with pytest.raises(ConfigError, match="names 257 labels, but a net predicts at most 256"):
            SegmentationTask.check_data(spec)
