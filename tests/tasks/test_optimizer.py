"""A fused optimizer in every precision that clips gradients."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from medlight.core.data_spec import DataSpec
from medlight.core.labels import Labels
from medlight.losses.cross_entropy import CrossEntropy
from medlight.tasks.classification import ClassificationTask


class Flat(nn.Module):
    def __init__(self, in_channels: int, num_classes: int, spatial_dims: int) -> None:
        super().__init__()
        self.head = nn.Linear(in_channels * 4**spatial_dims, num_classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(image.flatten(1))
        return answer


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_gradients_are_clipped(precision: str, optimizer: type[torch.optim.Optimizer]) -> None:
    """By so much that a step of SGD with rate 1 is as long as the limit."""
    spec = DataSpec(2, 1, Labels(("a", "b"), "multiclass"))
    task = ClassificationTask(
        net=Flat, spec=spec, loss=CrossEntropy(), optimizer=partial(optimizer, lr=1, fused="auto")
    )
    before = nn.utils.parameters_to_vector(task.net.parameters()).detach().clone()
    batch = {"image": 9 * torch.rand(2, 1, 4, 4), "label": torch.tensor([0, 1])}
    trainer = pl.Trainer(
        max_steps=1,
        precision=precision,  # type: ignore[arg-type]
        gradient_clip_val=1e-2,
        accelerator="cpu",
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, torch.utils.data.DataLoader([batch], batch_size=None))
    assert trainer.optimizers[0].defaults["fused"]
    moved = nn.utils.parameters_to_vector(task.net.parameters()).detach() - before
    if optimizer is torch.optim.SGD:
        assert float(moved.norm()) == pytest.approx(1e-2, rel=1e-3)
    else:
        assert float(moved.norm()) > 0
