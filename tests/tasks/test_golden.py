"""A refactor shows the same loss: twenty steps of both tasks under a fixed seed.

The numbers are what this code gave when they were written; a change that moves them changes what
users train, and says so in CHANGELOG.md.
"""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import DenseNet, UNet

from medlight.augment.augment import Augment
from medlight.augment.intensity import Brightness, Contrast, Gamma, GaussianNoise
from medlight.augment.spatial import Affine, Flip
from medlight.data.datamodule import DataModule
from medlight.datasets.phantom import Phantom2DDataModule, PhantomDataModule
from medlight.tasks.base import Task
from medlight.tasks.classification import ClassificationTask
from medlight.tasks.schedule import warmup_cosine
from medlight.tasks.segmentation import SegmentationTask
from medlight.transforms.radiograph import Radiograph
from medlight.transforms.volume import Volume

AUGMENT = Augment(
    spatial={
        "flip": Flip(axes="left-right"),
        "affine": Affine(probability=0.5, rotate_degrees=15, scale=[0.87, 1.15], translate=0.05),
    },
    intensity={
        "brightness": Brightness(probability=0.5, shift=0.2),
        "contrast": Contrast(probability=0.5, multiplier=[0.8, 1.25]),
        "gamma": Gamma(probability=0.5, gamma=[0.77, 1.3]),
        "noise": GaussianNoise(probability=0.5, std=[0.0, 0.1]),
    },
)
OPTIMISER: dict[str, Any] = {
    "optimizer": partial(torch.optim.AdamW, lr=3e-3),
    "schedule": warmup_cosine,
}
GOLDEN = {
    "segmentation": [
        2.5154,
        2.4369,
        2.2725,
        2.1294,
        2.0295,
        1.9179,
        1.8502,
        1.7705,
        1.7107,
        1.654,
        1.6226,
        1.572,
        1.5355,
        1.5339,
        1.5046,
        1.4773,
        1.4955,
        1.4712,
        1.4508,
        1.5133,
    ],
    "classification": [
        1.3027,
        1.3997,
        1.2453,
        1.3422,
        1.4124,
        1.3902,
        1.3487,
        1.2783,
        1.4529,
        1.3419,
        1.4631,
        1.3099,
        1.405,
        1.2541,
        1.2772,
        1.271,
        1.3462,
        1.2267,
        1.1682,
        1.2775,
    ],
}


class Losses(pl.Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, *args: Any) -> None:
        self.seen.append(float(args[2]["loss"]))


def segmentation(cache: Path) -> tuple[DataModule, Task]:
    data = PhantomDataModule(
        cache=cache, n_cases=12, transforms=Volume(), augment=AUGMENT, patch=(24, 24, 24)
    )
    data.setup()
    net = partial(UNet, channels=(4, 8, 16), strides=(2, 2), num_res_units=1)
    loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    return data, SegmentationTask(net=net, spec=data.spec, loss=loss, **OPTIMISER)


def classification(cache: Path) -> tuple[DataModule, Task]:
    data = Phantom2DDataModule(
        cache=cache,
        n_cases=200,
        transforms=Radiograph(size=(32, 32)),
        augment=AUGMENT,
        batch_size=8,
    )
    data.setup()
    net = partial(DenseNet, init_features=8, growth_rate=4, block_config=(2, 2))
    return data, ClassificationTask(
        net=net, spec=data.spec, loss=torch.nn.CrossEntropyLoss(), **OPTIMISER
    )


@pytest.mark.parametrize("build", [segmentation, classification])
def test_twenty_steps_give_the_recorded_losses(build: Any, shared_cache: Path) -> None:
    pl.seed_everything(0, verbose=False)
    data, task = build(shared_cache)
    losses = Losses()
    trainer = pl.Trainer(
        max_steps=20,
        accelerator="cpu",
        callbacks=[losses],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        limit_val_batches=0,
    )
    trainer.fit(task, datamodule=data)
    golden = pytest.approx(GOLDEN[build.__name__], rel=1e-3, abs=1e-3)
    assert losses.seen == golden, str(losses.seen)
