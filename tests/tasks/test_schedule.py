"""The schedule rises, falls, and ends at zero."""

import itertools
import math

import pytest
import torch

from medlight.tasks.schedule import warmup_cosine


def rates(total: int, warmup: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_cosine(optimizer, total_steps=total, warmup=warmup)
    seen = []
    for _ in range(total):
        seen.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return [*seen, schedule.get_last_lr()[0]]


def test_warm_up_then_half_a_cosine() -> None:
    seen = rates(100, 0.1)
    assert seen[0] == pytest.approx(0.2)
    assert seen[9] == max(seen) == pytest.approx(2.0)
    assert seen[55] == pytest.approx(2.0 * 0.5 * (1 + math.cos(math.pi * 45 / 90)))
    assert seen[-1] == pytest.approx(0)
    assert all(a <= b for a, b in itertools.pairwise(seen[:10]))
    assert all(a >= b for a, b in itertools.pairwise(seen[10:]))


@pytest.mark.parametrize("total", [1, 2, 3])
def test_very_short_runs_work(total: int) -> None:
    assert all(math.isfinite(rate) and rate >= 0 for rate in rates(total, 0.1))
