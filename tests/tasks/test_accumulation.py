"""Accumulated gradients are the mean over the batches of a step, of its last batches too."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from medlight.core.data_spec import DataSpec
from medlight.core.labels import Labels
from medlight.tasks.classification import ClassificationTask

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SAMPLES = 14


def weights(batch: int, accumulate: int, folder: Path, epochs: int = 1) -> tuple[Tensor, int]:
    """After plain SGD, whose step is as long as the gradient; and the number of steps."""
    random = torch.Generator().manual_seed(0)
    image = torch.randn(SAMPLES, 1, 4, 4, generator=random)
    label = torch.arange(SAMPLES) % 2
    data: list[dict[str, Any]] = [
        {"image": image[k : k + batch], "label": label[k : k + batch], "case": ["x"]}
        for k in range(0, SAMPLES, batch)
    ]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double()
    spec = DataSpec(2, 1, Labels(("left", "right"), "multiclass"), (4, 4))
    task = ClassificationTask(
        net=lambda **_: net, spec=spec, loss=nn.CrossEntropyLoss(), channels_last=False,
        optimizer=partial(torch.optim.SGD, lr=0.5),
    )  # fmt: skip
    trainer = pl.Trainer(
        accelerator="cpu", precision="64-true", max_epochs=epochs, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, accumulate_grad_batches=accumulate,
    )  # fmt: skip
    trainer.fit(task, DataLoader(data, batch_size=None))
    return net[1].weight.detach().clone(), trainer.global_step


@pytest.mark.parametrize(
    ("batch", "accumulate", "same_as"),
    [(2, 99, 14), (2, 7, 14), (1, 4, 4), (2, 2, 4), (2, 4, 8), (1, 8, 8)],
)
def test_the_last_step_of_an_epoch_has_its_length(
    batch: int, accumulate: int, same_as: int, tmp_path: Path
) -> None:
    """Three batches of eight made a step of 3/8 the length, each epoch."""
    found, steps = weights(batch, accumulate, tmp_path, epochs=2)
    wanted, as_many = weights(same_as, 1, tmp_path, epochs=2)
    assert steps == as_many
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
