"""A compiled net learns the same, and its checkpoints are those of one that is not."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from monai.networks.nets import UNet

from medlight.callbacks.ema import EMA
from medlight.core.data_spec import DataSpec
from medlight.core.labels import Labels
from medlight.losses.cross_entropy import CrossEntropy
from medlight.tasks.segmentation import SegmentationTask

SGD = partial(torch.optim.SGD, lr=0.1)
"""Adam would blow up the rounding of gradients that are nothing: of biases before a norm."""


def net(**sizes: Any) -> UNet:
    return UNet(**sizes, channels=(4, 8), strides=(2,), norm="batch")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
def test_compiled_or_not(tmp_path: Path) -> None:
    spec = DataSpec(2, 1, Labels(("a", "b"), "mask"), shape=(16, 16))
    generator = torch.Generator().manual_seed(0)
    batch = {
        "image": torch.rand(2, 1, 16, 16, generator=generator),
        "mask": torch.randint(0, 2, (2, 1, 16, 16), generator=generator),
    }
    saved = []
    for compiled in (False, True):
        torch.manual_seed(0)
        task = SegmentationTask(
            net=net, spec=spec, loss=CrossEntropy(), optimizer=SGD, compiled=compiled
        )
        trainer = pl.Trainer(
            max_steps=3,
            limit_val_batches=0,
            accelerator="cpu",
            callbacks=[EMA()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(task, torch.utils.data.DataLoader([batch] * 3, batch_size=None))
        assert (task.net._compiled_call_impl is not None) == compiled
        trainer.save_checkpoint(tmp_path / "x.ckpt")
        saved.append(torch.load(tmp_path / "x.ckpt", weights_only=True)["state_dict"])
    torch.testing.assert_close(saved[1], saved[0], atol=1e-4, rtol=1e-3)
    plain = SegmentationTask(net=net, spec=spec, loss=CrossEntropy())
    plain.load_state_dict(saved[1])
