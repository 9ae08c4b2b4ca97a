"""Tests and areas against SciPy, statsmodels and published examples, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from medlight.compare.auroc import area_interval, auroc, delong, difference_interval, standard_error
from medlight.compare.statistics import (
    count_wins,
    holm,
    mcnemar,
    min_detectable_difference,
    patient_means,
    wilcoxon,
)

MAIZE = [6.1, -8.4, 1.0, 2.0, 0.7, 2.9, 3.5, 5.1, 1.8, 3.6, 7.0, 3.0, 9.3, 7.5, -6.0]
"""Darwin's maize in eighths of an inch, as analysed by Fisher (1935): 49 -67 8 16 6 23 28 41 14 29
56 24 75 60 -48, divided by 8 and rounded."""


def test_wilcoxon_of_darwins_maize() -> None:
    """Two of fifteen differences are negative; their ranks 14 and 10 add up to 24 of 120."""
    found = wilcoxon(MAIZE, range(15))
    assert found.p == pytest.approx(0.0413, abs=1e-4)
    assert found.effect == pytest.approx((96 - 24) / 120)


@pytest.mark.parametrize("n", [4, 20, 50, 51, 300])
@pytest.mark.parametrize("places", [15, 1])
def test_wilcoxon_equals_scipys(n: int, places: int) -> None:
    moved = np.random.default_rng(n).normal(0.2, 1, n).round(places)  # one place: ties and zeros
    kept = moved[moved != 0]
    exact = n <= 50 and len(np.unique(np.abs(kept))) == len(kept)
    theirs = stats.wilcoxon(kept, method="exact" if exact else "asymptotic").pvalue
    assert wilcoxon(moved, range(n)).p == pytest.approx(theirs)


def test_wilcoxon_counts_a_patient_once() -> None:
    random = np.random.default_rng(0)
    one = random.normal(0.3, 1, 20)
    five = np.repeat(one, 5) + np.tile([-0.2, -0.1, 0, 0.1, 0.2], 20)
    assert wilcoxon(five, np.repeat(np.arange(20), 5)).p == pytest.approx(
        wilcoxon(one, range(20)).p
    )
    assert wilcoxon(five, range(100)).p < wilcoxon(one, range(20)).p


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_equals_statsmodels(seed: int) -> None:
    a, b = np.random.default_rng(seed).random((2, 80)) < [[0.7], [0.8]]
    table = [[np.sum(a & b), np.sum(a & ~b)], [np.sum(~a & b), np.sum(~a & ~b)]]
    found = mcnemar(b.astype(float) - a, range(80))
    assert found.p == pytest.approx(sm_mcnemar(table, exact=True).pvalue)
    doubled = np.concatenate([b.astype(float) - a, np.zeros(80)])  # a second, equal case of each
    robust = mcnemar(doubled, [*range(80), *range(80)])
    chi2 = sm_mcnemar(table, exact=False, correction=False)
    assert robust.p == pytest.approx(chi2.pvalue)


@pytest.mark.parametrize("seed", range(5))
def test_holm_equals_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).random(12) ** 3
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


@pytest.mark.parametrize("n", [5, 20, 60, 400])
def test_detectable_equals_statsmodels(n: int) -> None:
    effect = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert min_detectable_difference(1.7, n) == pytest.approx(1.7 * effect, rel=1e-4)


def classic_delong(a: np.ndarray, b: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Difference and standard error by the definition of 1988, pair by pair."""
    tens, ones = [], []
    for score in (a, b):
        x, y = score[positive], score[~positive]
        wins_of = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
        tens.append(wins_of.mean(axis=1))
        ones.append(wins_of.mean(axis=0))
    s = np.cov(tens) / positive.sum() + np.cov(ones) / (~positive).sum()
    gap = np.mean(tens[1]) - np.mean(tens[0])
    return float(gap), math.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_auroc_and_delong_equal_their_definition(seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    positive = random.random(70) < 0.4
    a, b = positive + random.normal(0, 1.0, (2, 70))
    if ties:
        a, b = a.round(), b.round()
    areas = [auroc(score, positive, range(70)) for score in (a, b)]
    for area, score in zip(areas, (a, b), strict=True):
        assert area.area == pytest.approx(roc_auc_score(positive, score))
    gap, spread = classic_delong(a, b, positive)
    assert areas[1].area - areas[0].area == pytest.approx(gap)
    assert standard_error(areas[1].influence - areas[0].influence, range(70)) == pytest.approx(
        spread
    )
    assert delong(areas[1], areas[0], range(70)).p == pytest.approx(
        2 * stats.norm.sf(abs(gap) / spread)
    )


def test_hanley_and_mcneils_radiologist() -> None:
    """CT ratings of Hanley and McNeil (1982, Radiology 143:29, table I): area 0.893, error 0.032
    by their own formula; DeLong's gives a little less."""
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    score = np.repeat([1, 2, 3, 4, 5] * 2, normal + abnormal).astype(float)
    positive = np.repeat([False, True], [58, 51])
    area = auroc(score, positive, range(109))
    assert area.area == pytest.approx(0.893, abs=5e-4)
    assert standard_error(area.influence, range(109)) == pytest.approx(0.0315, abs=0.001)


def trials(number: int, n: int, seed: int) -> np.ndarray:
    """Differences without a true one: skewed and heavy as those of Dice scores."""
    random = np.random.default_rng(seed)
    return random.standard_t(4, (number, n)) * random.beta(2, 8, (number, n))


@pytest.mark.parametrize("n", [12, 42])
def test_without_a_difference_wilcoxon_cries_wolf_as_stated(n: int) -> None:
    found = [wilcoxon(each, range(n)).p < 0.05 for each in trials(1_500, n, n)]
    assert 0.035 <= np.mean(found) <= 0.065


@pytest.mark.parametrize("each", [1, 3])
def test_without_a_difference_delong_and_mcnemar_cry_wolf_as_stated(each: int) -> None:
    """Also where patients have three cases that resemble each other."""
    random = np.random.default_rng(each)
    patients = np.repeat(np.arange(80), each)
    by_delong, by_mcnemar = [], []
    for _ in range(500):
        positive = (random.random(80) < 0.5)[patients]
        common = random.normal(0, 0.6, (2, 80))[:, patients]
        a, b = positive + common + random.normal(0, 0.8, (2, len(patients)))
        areas = [auroc(score, positive, patients) for score in (a, b)]
        by_delong.append(delong(areas[1], areas[0], patients).p < 0.05)
        right = [(score > 0.5) == positive for score in (a, b)]
        by_mcnemar.append(mcnemar(right[1].astype(float) - right[0], patients).p < 0.05)
    assert 0.025 <= np.mean(by_delong) <= 0.08
    assert np.mean(by_mcnemar) <= 0.08  # the exact test is careful


def test_area_intervals_cover() -> None:
    random = np.random.default_rng(5)
    truth = stats.norm.cdf(1.5 / math.sqrt(2))
    alone, together = [], []
    for _ in range(400):
        positive = np.arange(60) < 25
        a, b = 1.5 * positive + random.normal(0, 1, (2, 60))
        areas = [auroc(score, positive, range(60)) for score in (a, b)]
        one = area_interval(areas[0], range(60))
        gap = difference_interval(areas[1], areas[0], range(60))
        alone.append(one.low <= truth <= one.high)
        together.append(gap.low <= 0 <= gap.high)
    assert 0.925 <= np.mean(alone) <= 0.98
    assert 0.925 <= np.mean(together) <= 0.98


@pytest.mark.parametrize("n", [10, 40])
def test_the_detectable_difference_is_what_simulation_finds(n: int) -> None:
    least = min_detectable_difference(0.03, n)
    shifted = np.random.default_rng(n).normal(least, 0.03, (1_200, n))
    found = np.mean([wilcoxon(each, range(n)).p < 0.05 for each in shifted])
    assert 0.73 <= found <= 0.84


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 12, 20, 42, 100])
def test_wolf_and_power_at_length(n: int) -> None:
    wolf = [wilcoxon(each, range(n)).p < 0.05 for each in trials(10_000, n, 7)]
    assert 0.035 <= np.mean(wolf) <= 0.055
    shifted = np.random.default_rng(8).normal(min_detectable_difference(1.0, n), 1.0, (5_000, n))
    power = np.mean([wilcoxon(each, range(n)).p < 0.05 for each in shifted])
    assert 0.74 <= power <= 0.82


def test_nothing_moved_is_no_difference() -> None:
    for test in (wilcoxon, mcnemar):
        assert test([0.0, 1e-12, -1e-12, math.nan], range(4)).p == 1.0
    assert count_wins([0.1, 1e-12, -0.2, math.nan], "higher") == (1, 1, 1)
    assert patient_means([0.2, 0.4, math.nan], ["a", "a", "b"]).tolist() == [pytest.approx(0.3)]


def test_one_class_alone_has_no_area() -> None:
    area = auroc(np.array([0.1, 0.9]), np.array([True, True]), range(2))
    assert math.isnan(area.area)
    assert math.isnan(area_interval(area, range(2)).low)
    assert math.isnan(delong(area, area, range(2)).p)
