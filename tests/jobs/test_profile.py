"""The doctor names what is slow, and what mends it; it leaves the task as it was."""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from monai.networks.nets import UNet

from medlight.datasets.phantom import Phantom2DDataModule, PhantomMasksDataModule
from medlight.jobs.profile import profile
from medlight.jobs.step_timer import PARTS, find_max_batch
from medlight.losses.dice import DiceCE
from medlight.tasks.classification import ClassificationTask
from medlight.tasks.segmentation import SegmentationTask
from medlight.transforms.radiograph import Radiograph


def slow(batch: dict[str, Any], **_: Any) -> dict[str, Any]:
    """An augmentation that takes its time."""
    time.sleep(0.2)
    return batch


class Flat(torch.nn.Module):
    def __init__(self, *, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layer = torch.nn.LazyLinear(out_channels)
        self.layer(torch.zeros(1, in_channels * 32**spatial_dims))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layer(image.flatten(1))


def trainer() -> pl.Trainer:
    return pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


def segmentation(cache: Path, **settings: Any) -> tuple[Any, Any]:
    data = PhantomMasksDataModule(cache=cache, n_cases=30, transforms=Radiograph(), **settings)
    data.setup()
    net = partial(UNet, channels=(4, 8), strides=(2,))
    return data, SegmentationTask(net=net, spec=data.spec, loss=DiceCE())


def classification(cache: Path, **settings: Any) -> tuple[Any, Any]:
    transforms = Radiograph(size=(32, 32))
    data = Phantom2DDataModule(cache=cache, n_cases=60, transforms=transforms, **settings)
    data.setup()
    loss = torch.nn.CrossEntropyLoss()
    return data, ClassificationTask(net=Flat, spec=data.spec, loss=loss)


@pytest.mark.parametrize("build", [segmentation, classification])
def test_what_is_slow_is_named(build: Any, tmp_path: Path, shared_cache: Path) -> None:
    data, task = build(shared_cache, augment=slow)
    before = [parameter.clone() for parameter in task.parameters()]
    profile(data=data, task=task, trainer=trainer(), run_dir=tmp_path, seconds=2)
    found = json.loads((tmp_path / "profile.json").read_text())
    assert set(found["seconds_per_epoch"]) == {*PARTS, "validation"}
    assert found["bottleneck"] == "augment"
    assert found["advice"].startswith("augment=light")
    steps = max(1, round(len(data.split.train) / data.batch_size))
    assert found["seconds_per_epoch"]["augment"] == pytest.approx(0.2 * steps, rel=0.5)
    assert found["steps"] >= 3
    assert found["max_batch_size"] >= data.batch_size
    assert all(torch.equal(a, b) for a, b in zip(before, task.parameters(), strict=True))


@pytest.mark.slow
def test_doubling_the_batch_tells_what_a_sample_takes(shared_cache: Path) -> None:
    """Of a net that keeps 256 channels of every pixel of 64x64, 4 MB a sample at the least."""
    data, task = segmentation(shared_cache, batch_size=16)
    task.net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 256, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(256, 4, 1)
    )
    max_batch = find_max_batch(data, task, trainer())
    sample_mb = float(max_batch.reason.split(" MB a sample")[0])
    assert 4 <= sample_mb < 40
    assert max_batch.batch > 16
