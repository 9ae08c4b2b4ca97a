"""Dice of the global batch: MONAI's numbers on one process, and one process's on several."""

import multiprocessing
import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from monai.losses import DiceCELoss
from torch import Tensor

from medlight.losses.soft_dice import DiceCE


def batch(shape: tuple[int, ...], classes: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(len(shape))
    logits = torch.randn(4, classes, *shape, generator=random)
    mask = torch.randint(0, classes, (4, 1, *shape), generator=random)
    mask[:2][mask[:2] == classes - 1] = 0  # the first process has nothing of the last class
    return logits.requires_grad_(), mask


@pytest.mark.parametrize(("shape", "classes"), [((9, 7), 2), ((6, 5, 4), 4)])
def test_one_process_gives_what_monai_gives(shape: tuple[int, ...], classes: int) -> None:
    logits, mask = batch(shape, classes)
    theirs = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    expected = theirs(logits, mask)
    (wanted,) = torch.autograd.grad(expected, logits)
    found = DiceCE()(logits, mask)
    (gradient,) = torch.autograd.grad(found, logits)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, wanted)


def half(rank: int, port: int, folder: Path) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    logits, mask = batch((6, 5, 4), 4)
    mine = slice(2 * rank, 2 * rank + 2)
    loss = DiceCE()(logits[mine], mask[mine])
    loss.backward()
    gradient, mean = logits.grad / 2, loss.detach() / 2
    dist.all_reduce(gradient)  # what DDP does with gradients
    dist.all_reduce(mean)
    torch.save((gradient, mean), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    logits, mask = batch((6, 5, 4), 4)
    loss = DiceCE()(logits, mask)
    loss.backward()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=half, args=(rank, port, tmp_path)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    for rank in range(2):
        gradient, mean = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(mean, loss.detach())
        torch.testing.assert_close(gradient, logits.grad)
