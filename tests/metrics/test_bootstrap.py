"""Bootstrap intervals against SciPy, by simulation, and on hand cases."""

import math

import numpy as np
import pytest
from scipy import stats

from medlight.metrics.bootstrap import (
    bootstrap_interval,
    bootstrap_intervals,
    patient_sums,
    resampled_means,
)


@pytest.mark.parametrize("n", [15, 60])
def test_equals_scipys_bca_at_the_expanded_level(n: int) -> None:
    values = np.random.default_rng(n).beta(8, 2, n)
    expanded = 2 * stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1)) - 1
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, confidence_level=expanded, method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    ours = bootstrap_interval(values, range(n), n_resamples=40_000)
    tolerance = 0.03 * (theirs.high - theirs.low)
    assert ours.low == pytest.approx(theirs.low, abs=tolerance)
    assert ours.high == pytest.approx(theirs.high, abs=tolerance)
    assert (ours.mean, ours.n) == (pytest.approx(values.mean()), n)


def coverage(values: np.ndarray, patients: np.ndarray, truth: float) -> float:
    """Each column of `values` is an experiment of its own."""
    found = bootstrap_intervals(values, patients, n_resamples=1_000)
    return float(np.mean([i.low <= truth <= i.high for i in found]))


@pytest.mark.parametrize("n", [12, 42])
def test_intervals_cover(n: int) -> None:
    """95 % of 2,000 experiments, give or take their chance and what small samples cost."""
    dice = np.random.default_rng(0).beta(8, 1.2, (n, 2_000))
    assert 0.93 <= coverage(dice, np.arange(n), 8 / 9.2) <= 0.965


def test_intervals_cover_where_patients_have_many_cases() -> None:
    random = np.random.default_rng(1)
    patients = np.repeat(np.arange(30), random.integers(1, 6, 30))
    values = random.normal(0, 1, (30, 1_000))[patients] + random.normal(
        0, 0.5, (len(patients), 1_000)
    )
    assert 0.925 <= coverage(values, patients, 0.0) <= 0.97
    assert coverage(values, np.arange(len(patients)), 0.0) < 0.85  # why patients are drawn


@pytest.mark.parametrize("n", [8, 12, 20, 42, 100])
@pytest.mark.parametrize("shape", ["normal", "beta", "exponential"])
def test_intervals_cover_whatever_the_shape(n: int, shape: str) -> None:
    random = np.random.default_rng(n)
    draw, truth = {
        "normal": (random.standard_normal, 0.0),
        "beta": (lambda size: random.beta(8, 1.2, size), 8 / 9.2),
        "exponential": (random.standard_exponential, 1.0),
    }[shape]
    values = np.concatenate([draw((n, 2_000)) for _ in range(3)], axis=1)
    assert 0.91 - 0.005 * (n == 8) <= coverage(values, np.arange(n), truth) <= 0.965


def test_what_is_not_known_is_left_out() -> None:
    random = np.random.default_rng(2)
    column = random.normal(size=20)
    column[[3, 7]] = math.nan
    table = np.stack([column, random.normal(size=20), np.full(20, math.nan)], axis=1)
    with_gaps, full, empty = bootstrap_intervals(table, range(20))
    assert with_gaps.n == 18
    assert with_gaps.mean == pytest.approx(np.nanmean(column))
    assert full.n == 20
    assert empty.n == 0
    assert all(map(math.isnan, (empty.mean, empty.low, empty.high)))


def test_one_patient_tells_nothing_of_others() -> None:
    one = bootstrap_interval([0.5, 0.7, math.nan], ["a", "a", "b"])
    assert one.mean == pytest.approx(0.6)
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_where_all_agree_the_interval_is_a_point() -> None:
    found = bootstrap_interval([0.9] * 10, range(10))
    assert (found.low, found.mean, found.high) == (0.9, 0.9, 0.9)


def test_the_same_seed_draws_the_same() -> None:
    values = np.random.default_rng(3).normal(size=30)
    assert bootstrap_interval(values, range(30)) == bootstrap_interval(values, range(30))
    assert bootstrap_interval(values, range(30)) != bootstrap_interval(values, range(30), seed=1)


def test_columns_see_the_same_draws() -> None:
    """So the difference of two columns has the interval of their paired difference."""
    values = np.random.default_rng(4).normal(size=(25, 2))
    sums, counts = patient_sums(values, range(25))
    drawn = resampled_means(sums, counts, n_resamples=500)
    gap = resampled_means(*patient_sums(values[:, :1] - values[:, 1:], range(25)), n_resamples=500)
    np.testing.assert_allclose(drawn[:, 0] - drawn[:, 1], gap[:, 0], atol=1e-6)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="3 patients"):
        bootstrap_interval([1.0, 2.0], ["a", "b", "c"])
