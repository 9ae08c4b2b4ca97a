"""Every loss in conf/loss on two processes: the value and the gradients of one with all samples."""

import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor

from medlight.cli.config import register
from medlight.cli.options import conf_dir, groups

LOSSES = [
    *([name] for name in groups([conf_dir()])["loss"]),
    ["cross_entropy", "loss.weight=[0.5,1,2,4]", "loss.label_smoothing=0.1"],
    ["masked_bce", "loss.uncertain=ones"],
    ["tversky", "loss.alpha=0.2"],
    ["generalised_dice", "loss.w_type=simple"],
]


def built(words: list[str]) -> Any:
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", [f"loss={words[0]}", *words[1:]])
    return instantiate(cfg.loss, _convert_="all")


def batch(name: str) -> tuple[Tensor, Tensor]:
    """Four samples. What the first two are of is not what the others are of."""
    random = torch.Generator().manual_seed(1)
    if name == "masked_bce":
        target = torch.randint(-1, 2, (4, 4), generator=random).float()
        target[:2, 1:] = torch.nan  # the first process knows little
        return torch.randn(4, 4, generator=random).requires_grad_(), target
    mask = torch.randint(0, 4, (4, 1, 6, 5, 4), generator=random)
    mask[:2][mask[:2] == 3] = 0  # the first process has nothing of the last class
    if name == "dice_bce":
        mask = torch.cat([mask >= least for least in range(4)], 1)  # regions within each other
    return torch.randn(4, 4, 6, 5, 4, generator=random).requires_grad_(), mask


def half(rank: int, port: int, folder: Path) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    found = []
    for words in LOSSES:
        logits, target = batch(words[0])
        mine = slice(2 * rank, 2 * rank + 2)
        loss = built(words)(logits[mine], target[mine])
        loss.backward()
        assert logits.grad is not None
        gradient, mean = logits.grad / 2, loss.detach() / 2
        dist.all_reduce(gradient)  # what DDP does with gradients
        dist.all_reduce(mean)
        found.append((gradient, mean))
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[Tensor, Tensor]]]:
    """By process and loss: its gradients and its value."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=half, args=(rank, port, folder)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("number", range(len(LOSSES)), ids=map(" ".join, LOSSES))
def test_two_processes_give_what_one_gives(number: int, on_two: Any) -> None:
    logits, target = batch(LOSSES[number][0])
    loss = built(LOSSES[number])(logits, target)
    loss.backward()
    for gradient, mean in (of_rank[number] for of_rank in on_two):
        torch.testing.assert_close(mean, loss.detach())
        torch.testing.assert_close(gradient, logits.grad)
