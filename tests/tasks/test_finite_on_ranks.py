"""Of two processes that train together, both stop, or both leave the batch out."""

import multiprocessing
import multiprocessing.connection
import os
import socket
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from medlight.core.data_spec import DataSpec
from medlight.core.errors import NonFiniteError
from medlight.core.labels import Labels
from medlight.tasks.classification import ClassificationTask

BAD = 2
"""The batch that is not finite, on one of the ranks."""


class OneConv(nn.Module):
    """A convolution; an image of 999 gives nan."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(torch.where(image == 999, torch.nan, image)).flatten(2).mean(2)


def batches(rank: int, bad_rank: int) -> list[dict[str, Any]]:
    random = torch.Generator().manual_seed(rank)
    made: list[dict[str, Any]] = []
    for k in range(4):
        image = torch.randn(2, 1, 8, 8, generator=random)
        if (rank, k) == (bad_rank, BAD):
            image[1] = 999
        cases = [f"rank{rank}_{k}a", f"rank{rank}_{k}b"]
        made.append({"image": image, "label": torch.tensor([0, 1]), "case": cases})
    return made


def train(folder: Path, rank: int, port: int, bad_rank: int, on_nan: Any) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    task = ClassificationTask(
        net=lambda **_: OneConv(), spec=DataSpec(2, 1, Labels(("a", "b"), "multiclass"), (8, 8)),
        loss=nn.CrossEntropyLoss(), optimizer=partial(torch.optim.SGD, lr=0.1), on_nan=on_nan,
    )  # fmt: skip
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, default_root_dir=folder,
    )  # fmt: skip
    error = ""
    try:
        trainer.fit(task, DataLoader(batches(rank, bad_rank), batch_size=None))
    except NonFiniteError as found:
        error = str(found)
    weight = task.net.conv.weight.detach()
    held = {"error": error, "weight": weight, "skipped": task.skipped_batches}
    torch.save(held, folder / f"{rank}.pt")
    os._exit(0)


def run(folder: Path, bad_rank: int, on_nan: str) -> list[dict[str, Any]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    processes = [
        fork.Process(target=train, args=(folder, rank, port, bad_rank, on_nan)) for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    multiprocessing.connection.wait([process.sentinel for process in processes], 30)
    for process in processes:
        process.join(5)  # the other ends at the same step
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0, 0], "one waits for the other"
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("bad_rank", [0, 1])
def test_both_stop_and_name_the_cases_of_the_one(bad_rank: int, tmp_path: Path) -> None:
    """The first process, whose error is read, named its own cases, which were good."""
    ranks = run(tmp_path, bad_rank, "stop")
    for each in ranks:
        assert f"(batch 3 of epoch 1; cases rank{bad_rank}_2a, rank{bad_rank}_2b)" in each["error"]
    assert torch.equal(ranks[0]["weight"], ranks[1]["weight"])
    [saved] = tmp_path.glob("non_finite*.pt")
    held = torch.load(saved, weights_only=True)
    assert held["batch"]["case"] == [f"rank{bad_rank}_2a", f"rank{bad_rank}_2b"]


def test_both_skip(tmp_path: Path) -> None:
    ranks = run(tmp_path, 1, "skip")
    assert [(each["error"], each["skipped"]) for each in ranks] == [("", 1), ("", 1)]
    assert torch.equal(ranks[0]["weight"], ranks[1]["weight"])
    assert torch.isfinite(ranks[0]["weight"]).all()
