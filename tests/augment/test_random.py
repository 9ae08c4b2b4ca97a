"""Numbers without a state: uniform, normal, independent."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from medlight.augment.random import RandomStreams, normal


def random_streams(count: int) -> RandomStreams:
    return RandomStreams(seed=1, epoch=2, position=torch.arange(count))


def test_uniform() -> None:
    u = random_streams(2000).uniform(500)
    assert 0 <= u.min() <= u.max() < 1
    assert stats.kstest(u[::7, ::11].ravel(), "uniform").pvalue > 1e-3
    assert u.mean() == pytest.approx(0.5, abs=2e-3)
    assert abs(np.corrcoef(u[:, :-1].ravel(), u[:, 1:].ravel())[0, 1]) < 5e-3
    assert abs(np.corrcoef(u[:-1].ravel(), u[1:].ravel())[0, 1]) < 5e-3


def test_streams_are_independent_and_leave_each_other_alone() -> None:
    first = random_streams(2000)
    noise, blur = (
        first.streams(["noise"])["noise"].uniform(100),
        first.streams(["blur"])["blur"].uniform(100),
    )
    assert abs(np.corrcoef(noise.ravel(), blur.ravel())[0, 1]) < 5e-3
    assert np.array_equal(noise, random_streams(2000).streams(["noise"])["noise"].uniform(100))


def test_factors_enlarge_as_often_as_they_shrink() -> None:
    f = random_streams(20000).balanced_factor([0.5, 3.0])
    assert 0.5 <= f.min() <= f.max() <= 3.0
    assert (f < 1).mean() == pytest.approx(0.5, abs=0.02)
    assert stats.kstest((f[f < 1] - 0.5) / 0.5, "uniform").pvalue > 1e-3
    assert stats.kstest((f[f >= 1] - 1) / 2, "uniform").pvalue > 1e-3
    above = random_streams(20000).balanced_factor([1.0, 3.0])
    assert above.mean() == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("count", [4096, 4095])
def test_normal(count: int) -> None:
    keys = torch.from_numpy(random_streams(500).noise_keys())
    n = normal(keys, count).double()
    assert n.shape == (500, count)
    assert n.mean() == pytest.approx(0, abs=5e-3)
    assert n.std() == pytest.approx(1, abs=5e-3)
    assert float((n**4).mean()) == pytest.approx(3, abs=0.02)
    assert (n.abs() > 2).double().mean() == pytest.approx(math.erfc(2 / math.sqrt(2)), abs=1e-3)
    assert stats.kstest(n.flatten()[::101].numpy(), "norm").pvalue > 1e-3
    assert n.abs().max() > 4


def test_noise_is_white_and_rows_do_not_repeat() -> None:
    n = normal(torch.from_numpy(random_streams(64).noise_keys()), 4096).double()
    assert abs(torch.corrcoef(n)).fill_diagonal_(0).max() < 0.08
    spectrum = torch.fft.rfft(n).abs().square().mean(0) / 4096
    assert 0.4 < spectrum[1:].min() < spectrum[1:].max() < 2
    halves: Any = torch.corrcoef(torch.stack([n[:, :2048].flatten(), n[:, 2048:].flatten()]))
    assert abs(halves[0, 1]) < 0.01
    squares = torch.corrcoef(torch.stack([n[:, :2048].flatten() ** 2, n[:, 2048:].flatten() ** 2]))
    assert abs(squares[0, 1]) < 0.01
