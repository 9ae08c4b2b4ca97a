"""A loss or an output that is no number stops a training, and becomes no prediction."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError, NonFiniteError
from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.tasks.base import Task
from medlight.tasks.classification import ClassificationTask
from medlight.tasks.segmentation import SegmentationTask

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
HANDS = Labels(("left", "right"), "multiclass")
ORGANS = Labels(("background", "liver"), "mask")


class OneConv(nn.Module):
    """A convolution and running statistics; an image of 999 gives nan."""

    def __init__(self, *, spatial_dims: int, in_channels: int, out_channels: int, mean: bool):
        super().__init__()
        conv, norm = (nn.Conv2d, nn.Conv3d)[spatial_dims - 2], nn.BatchNorm2d
        self.conv, self.norm = conv(in_channels, out_channels, 3, padding=1), norm(in_channels)
        self.mean = mean

    def forward(self, image: Tensor) -> Tensor:
        output = self.conv(self.norm(torch.where(image == 999, torch.nan, image)))
        return output.flatten(2).mean(2) if self.mean else output


def classifier(loss: Any = None, **settings: Any) -> ClassificationTask:
    spec = DataSpec(2, 1, HANDS, (64, 64))
    net, loss = partial(OneConv, mean=True), loss or nn.CrossEntropyLoss()
    return ClassificationTask(net=net, spec=spec, loss=loss, **settings)


def batches(bad: int | None, n: int = 4) -> list[dict[str, Any]]:
    random = torch.Generator().manual_seed(0)
    made: list[dict[str, Any]] = []
    for k in range(n):
        image = torch.randn(2, 1, 8, 8, generator=random)
        if k == bad:
            image[1] = 999
        made.append({"image": image, "label": torch.tensor([0, 1]), "case": [f"{k}a", f"{k}b"]})
    return made


def fit(task: Task, data: list[dict[str, Any]], folder: Path, **settings: Any) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder, **settings,
    )  # fmt: skip
    trainer.fit(task, DataLoader(data, batch_size=None))
    return trainer


def test_a_loss_that_is_nan_stops_before_a_weight_moves(tmp_path: Path) -> None:
    task, data = classifier(), batches(bad=2)
    before: list[Tensor] = []
    with pytest.raises(NonFiniteError, match=r"step 3 \(batch 3 of epoch 1; cases 2a, 2b\)"):
        fit(task, data, tmp_path, callbacks=[Weights(before)])
    assert torch.equal(task.net.conv.weight, before[2])
    held = torch.load(tmp_path / "non_finite.pt", weights_only=True)
    assert (held["step"], held["batch"]["case"]) == (3, ["2a", "2b"])
    again = classifier()
    again.load_state_dict(held["state_dict"])
    assert torch.isnan(again.step(held["batch"]))


def test_an_output_that_is_nan_counts_where_the_loss_hides_it(tmp_path: Path) -> None:
    task = classifier(loss=lambda output, label: output.nan_to_num().sum())
    with pytest.raises(NonFiniteError):
        fit(task, batches(bad=1), tmp_path)


def test_a_training_that_diverges_stops(tmp_path: Path) -> None:
    task = classifier(optimizer=partial(torch.optim.SGD, lr=1e38))
    with pytest.raises(NonFiniteError, match=r"Lower optimizer\.lr"):
        fit(task, batches(bad=None), tmp_path)


def test_skipped_batches_move_nothing_and_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = []
    for data in (batches(bad=2), [each for k, each in enumerate(batches(bad=2)) if k != 2]):
        torch.manual_seed(0)
        tasks.append(classifier(on_nan="skip", optimizer=partial(torch.optim.SGD, lr=0.1)))
        fit(tasks[-1], data, tmp_path)
    with_bad, without = (task.state_dict() for task in tasks)
    for name, value in without.items():
        assert torch.equal(with_bad[name], value), name
    assert [task.skipped_batches for task in tasks] == [1, 0]
    assert "step 3: the loss is not finite; batch skipped (2a, 2b)" in caplog.text


@pytest.mark.parametrize(
    ("accumulate", "bad"), [(1, {1, 4}), (4, {1}), (4, {4, 5}), (3, {3, 4, 5}), (9, {0, 5})]
)
def test_a_step_with_skipped_batches_is_one_that_never_saw_them(
    tmp_path: Path, accumulate: int, bad: set[int]
) -> None:
    """It was divided by all its batches; and momentum and decay moved weights without a batch."""
    sgd = partial(torch.optim.SGD, lr=0.5, momentum=0.9, weight_decay=0.1)
    data = batches(bad=None, n=6)
    torch.manual_seed(0)
    wanted = classifier()
    optimizer = sgd(wanted.net.parameters())
    for start in range(0, 6, accumulate):
        counted = [data[k] for k in range(start, min(start + accumulate, 6)) if k not in bad]
        if counted:
            optimizer.zero_grad()
            torch.stack([wanted.step(batch) for batch in counted]).mean().backward()
            optimizer.step()
    for k in bad:
        data[k]["image"][0] = 999
    torch.manual_seed(0)
    task = classifier(on_nan="skip", optimizer=sgd)
    fit(task, data, tmp_path, accumulate_grad_batches=accumulate)
    for name, value in wanted.state_dict().items():
        torch.testing.assert_close(task.state_dict()[name], value, rtol=1e-5, atol=1e-7)


def test_weights_that_are_nan_stop_though_batches_may_be_skipped(tmp_path: Path) -> None:
    task = classifier(on_nan="skip")
    task.net.conv.weight.data.fill_(torch.nan)
    with pytest.raises(NonFiniteError):
        fit(task, batches(bad=None), tmp_path)


def test_infinite_gradients_are_left_to_the_scaler(tmp_path: Path) -> None:
    """With precision 16-mixed a step whose gradients overflow is the scaler's to leave out."""
    task = classifier()
    task.net.conv.weight.register_hook(lambda grad: torch.full_like(grad, torch.inf))
    fit(task, batches(bad=None, n=1), tmp_path)
    assert task.trainer.global_step == 1
    assert not list(tmp_path.rglob("non_finite.pt"))


def test_a_word_that_is_neither_stop_nor_skip() -> None:
    with pytest.raises(ConfigError, match="stop or skip, got ignore"):
        classifier(on_nan="ignore")


def test_an_answer_that_is_nan_is_no_class() -> None:
    """argmax of nan is the first class, which 90 of 100 cases had."""
    task, batch = classifier().eval(), batches(bad=1)[1]
    with pytest.raises(NonFiniteError, match=r"^1b: the net's output is not finite"):
        task.infer(batch)


@pytest.mark.parametrize("whole", [True, False])
def test_a_mask_is_not_made_of_nan(whole: bool) -> None:
    spec = DataSpec(2, 1, ORGANS, (16, 16))
    net = partial(OneConv, mean=False)
    task = SegmentationTask(net=net, spec=spec, loss=nn.CrossEntropyLoss()).eval()
    image = torch.randn(1, 1, 16, 16)
    image[0, 0, 3, 4] = 999
    grid = Grid((16, 16), np.eye(4))
    batch = {
        "image": image, "mask": torch.zeros(1, 1, 16, 16, dtype=torch.long), "case": ["liver7"],
        "grid": [grid], "source_grid": [grid],
    }  # fmt: skip
    if whole:
        batch["reference"] = [torch.zeros(16, 16, dtype=torch.long)]
    with pytest.raises(NonFiniteError, match=r"^liver7: the net's output is not finite"):
        task.infer(batch)


class Weights(pl.Callback):
    """Notes the weights before every batch."""

    def __init__(self, seen: list[Tensor]) -> None:
        self.seen = seen

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.seen.append(pl_module.net.conv.weight.detach().clone())
