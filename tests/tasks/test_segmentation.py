"""Segmentation of whole images: sizes the net cannot take, windows, rows on the source's grid."""

from functools import partial

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet

from medlight.core.errors import ConfigError
from medlight.core.facts import Facts
from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.tasks.classification import ClassificationTask
from medlight.tasks.segmentation import SegmentationTask

ORGANS = Labels(("background", "liver", "tumour"), "mask")
SMALL_UNET = partial(UNet, channels=(4, 8, 16), strides=(2, 2), num_res_units=1)


def task_for(ndim: int, patch: tuple[int, ...] | None = None) -> SegmentationTask:
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    facts = Facts(ndim, channels=2, labels=ORGANS, patch=patch)
    return SegmentationTask(net=SMALL_UNET, facts=facts, loss=loss).eval()


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
    source = Grid((10, 9, 12), np.diag([-1.0, 1.0, 1.0, 1.0]))
    grid = Grid((10, 9, 12), np.array([[1.0, 0, 0, -9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    reference = torch.randint(0, 3, source.shape)
    batch = {
        "image": torch.rand(1, 2, *grid.shape),
        "mask": reference.flip(0)[None, None],
        "reference": [reference],
        "source": [source],
        "grid": [grid],
        "case": ["c"],
    }
    with torch.no_grad():
        [result] = task.infer(batch)
        del batch["reference"]
        [validated] = task.infer(batch)
    np.testing.assert_array_equal(result.restored, result.prediction[::-1])
    assert result.source == source
    assert validated.restored is None
    for row, quick in zip(result.rows, validated.rows, strict=True):
        assert row | quick == row  # a flip changes no score
    assert [row["class"] for row in result.rows] == ["liver", "tumour"]
    n_reference = [int((reference == k).sum()) for k in (1, 2)]
    assert [row["n_reference"] for row in result.rows] == n_reference


def test_cases_without_truth_are_predicted_and_not_scored() -> None:
    task = task_for(2)
    grid = Grid((10, 9))
    batch = {"image": torch.rand(1, 2, 10, 9), "source": [grid], "grid": [grid], "case": ["c"]}
    with torch.no_grad():
        [result] = task.infer(batch)
    assert result.rows == ()
    assert result.restored.shape == (10, 9)
    assert result.restored.dtype == np.uint8


def test_each_task_refuses_the_data_of_the_other() -> None:
    classes = Facts(2, 1, Labels(("a", "b"), "class"))
    with pytest.raises(ConfigError, match="task=classification"):
        SegmentationTask(net=SMALL_UNET, facts=classes, loss=torch.nn.CrossEntropyLoss())
    with pytest.raises(ConfigError, match="task=segmentation"):
        ClassificationTask(
            net=SMALL_UNET, facts=Facts(2, 1, ORGANS), loss=torch.nn.CrossEntropyLoss()
        )
