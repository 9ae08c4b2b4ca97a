"""Muon against its definition, against torch's for matrices, and against AdamW for the rest."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medlight.tasks.muon import A, B, C, Muon, is_matrix, newton_schulz_factor


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(2, 8, 3, padding=1, bias=False),
        nn.BatchNorm3d(8),
        nn.ReLU(),
        nn.ConvTranspose3d(8, 4, 2, 2),
    )


def orthogonal(matrix: Tensor) -> Tensor:
    factor = newton_schulz_factor(matrix)
    return factor @ matrix if len(factor) == len(matrix) else matrix @ factor


def steps(net: nn.Module, optimizer: torch.optim.Optimizer, seeds: range) -> list[Tensor]:
    for seed in seeds:
        image = torch.randn(2, 2, 4, 4, 4, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        net(image).square().mean().backward()
        optimizer.step()
    return [weight.detach().clone() for weight in net.parameters()]


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_it_is_the_iteration_of_the_paper(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    matrix = torch.randn(shape)
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        square = x @ x.T
        x = A * x + (B * square + C * square @ square) @ x
    assert torch.allclose(orthogonal(matrix).double(), x, atol=2e-3)


@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_directions_stay_and_lengths_become_alike(shape: tuple[int, int]) -> None:
    torch.manual_seed(2)
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = torch.logspace(0, -2, 16)
    found = orthogonal(u @ torch.diag(values) @ v)
    kept = u.T @ found @ v.T
    assert torch.allclose(kept, torch.diag(kept.diagonal()), atol=1e-3), "singular vectors stay"
    assert 0.6 < float(kept.diagonal().min()) <= float(kept.diagonal().max()) < 1.25


def test_no_gradient_is_no_direction() -> None:
    assert torch.equal(orthogonal(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_matrices_step_as_with_torchs_muon() -> None:
    """Which iterates in bfloat16, so that single entries differ."""
    torch.manual_seed(3)
    ours = nn.Parameter(torch.randn(24, 60))
    theirs = nn.Parameter(ours.detach().clone())
    start = ours.detach().clone()
    settings: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.9}
    pair = (Muon([ours], **settings),
            torch.optim.Muon([theirs], **settings, adjust_lr_fn="match_rms_adamw"))  # fmt: skip
    for _ in range(10):
        grad = torch.randn(24, 60)
        for weight, optimizer in zip((ours, theirs), pair, strict=True):
            weight.grad = grad.clone()
            optimizer.step()
    mine, other = (ours.detach() - start), (theirs.detach() - start)
    assert float((mine - other).norm() / other.norm()) < 0.05


def test_biases_and_norms_step_as_with_adamw() -> None:
    ours, theirs = net(), net()
    settings: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1}
    first, second = (
        Muon(ours.parameters(), **settings),
        torch.optim.AdamW(theirs.parameters(), **settings),
    )
    for seed in range(4):
        grads = [
            torch.randn(w.shape, generator=torch.Generator().manual_seed(seed))
            for w in ours.parameters()
        ]
        for model, optimizer in ((ours, first), (theirs, second)):
            for weight, grad in zip(model.parameters(), grads, strict=True):
                weight.grad = grad.clone()
            optimizer.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-6) == (not is_matrix(mine))


def test_the_order_of_a_kernels_numbers_in_memory_is_nothing_to_it() -> None:
    last = net().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    strides = [next(each.parameters()).stride() for each in (net(), last)]
    assert strides[0] != strides[1]
    weights = [steps(n, Muon(n.parameters(), lr=0.01), range(5)) for n in (net(), last)]
    for a, b in zip(*weights, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_it_goes_on_from_its_state() -> None:
    whole = net()
    wanted = steps(whole, Muon(whole.parameters(), lr=0.01), range(6))
    half = net()
    before = Muon(half.parameters(), lr=0.01)
    steps(half, before, range(3))
    saved = copy.deepcopy(before.state_dict())
    after = Muon(half.parameters(), lr=1.0)
    after.load_state_dict(saved)
    for mine, other in zip(steps(half, after, range(3, 6)), wanted, strict=True):
        assert torch.equal(mine, other)


def test_what_is_no_matrix() -> None:
    shapes = {
        (8, 2, 3, 3): True,
        (4, 4): True,
        (8,): False,
        (1, 16): False,
        (16, 1): False,
        (): False,
    }
    assert {shape: is_matrix(torch.zeros(shape)) for shape in shapes} == shapes
