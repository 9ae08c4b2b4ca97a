"""Every schedule rises, falls and ends as its paper says, and survives a checkpoint."""

import io
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from medlight.tasks.schedule import OneCycle, warmup_constant, warmup_cosine, warmup_poly

ALL = [warmup_cosine, warmup_poly, warmup_constant, OneCycle]


def sgd(lr: float = 2.0) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)


def rates(schedule: Callable[..., Any], total: int, **settings: Any) -> list[float]:
    optimizer = sgd()
    scheduler = schedule(optimizer, total_steps=total, **settings)
    seen = []
    for _ in range(total):
        seen.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return [*seen, scheduler.get_last_lr()[0]]


def test_warm_up_then_half_a_cosine() -> None:
    seen = rates(warmup_cosine, 100, warmup=0.1)
    assert seen[0] == pytest.approx(0.2)
    assert seen[9] == max(seen) == pytest.approx(2.0)
    assert seen[55] == pytest.approx(2.0 * 0.5 * (1 + math.cos(math.pi * 45 / 90)))
    assert seen[-1] == pytest.approx(0)
    assert all(a <= b for a, b in itertools.pairwise(seen[:10]))
    assert all(a >= b for a, b in itertools.pairwise(seen[10:]))


def test_poly_is_that_of_nnunet_and_of_torch() -> None:
    seen = rates(warmup_poly, 50, power=0.9)
    assert seen == pytest.approx([2.0 * (1 - step / 50) ** 0.9 for step in range(51)])
    optimizer = sgd()
    torchs = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=50, power=0.9)
    for step in range(50):
        assert torchs.get_last_lr()[0] == pytest.approx(seen[step])
        optimizer.step()
        torchs.step()


def test_constant_warms_up_and_stays() -> None:
    assert rates(warmup_constant, 20) == [2.0] * 21
    assert rates(warmup_constant, 20, warmup=0.25) == pytest.approx(
        [0.4, 0.8, 1.2, 1.6] + [2.0] * 17
    )


def test_one_cycle_goes_up_to_the_optimizers_rate_and_down_again() -> None:
    seen = rates(OneCycle, 100, pct_start=0.3, div_factor=25, final_div_factor=1e4)
    assert seen[0] == pytest.approx(2.0 / 25)
    assert max(seen) == pytest.approx(2.0, rel=1e-3)
    assert 28 <= seen.index(max(seen)) <= 30
    assert seen[-1] == pytest.approx(2.0 / 25 / 1e4)


@pytest.mark.parametrize("schedule", ALL)
@pytest.mark.parametrize("total", [1, 2, 3])
def test_very_short_runs_work(schedule: Callable[..., Any], total: int) -> None:
    assert all(math.isfinite(rate) and rate >= 0 for rate in rates(schedule, total))


@pytest.mark.parametrize("schedule", ALL)
def test_a_resumed_run_follows_the_curve_of_its_new_length(schedule: Callable[..., Any]) -> None:
    optimizer = sgd()
    first = schedule(optimizer, total_steps=10)
    for _ in range(6):
        optimizer.step()
        first.step()
    file = io.BytesIO()
    torch.save([first.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    state, of_optimizer = torch.load(file, weights_only=True)
    optimizer = sgd()
    second = schedule(optimizer, total_steps=20)
    optimizer.load_state_dict(of_optimizer)
    second.load_state_dict(state)
    for _ in range(14):  # torch's own OneCycleLR raises at the eleventh step
        optimizer.step()
        second.step()
    assert second.get_last_lr()[0] == pytest.approx(rates(schedule, 20)[-1])
