"""Paired tests, effect sizes and power. Every test treats a patient as one observation.

Differences are contender minus reference, (N,) over cases, nan where either has no value.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats
from scipy.special import ndtr

from medlight.metrics.bootstrap import patient_sums

MAX_EXACT_N = 50
TIE_TOLERANCE = 1e-9
"""Differences below this are rounding, and ties."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """What a paired test found.

    Attributes:
        name: of the test.
        p: two-sided; nan where it cannot be carried out.
        effect: between -1 and 1; positive where the contender's values are larger.
    """

    name: str
    p: float
    effect: float


def patient_means(difference: ArrayLike, patients: Sequence[Any]) -> NDArray[np.float64]:
    """(P,) mean difference of each patient that has one; rounding becomes 0."""
    sums, counts = patient_sums(np.asarray(difference, dtype=float)[:, None], patients)
    mean = sums[counts > 0] / counts[counts > 0]
    return np.where(np.abs(mean) < TIE_TOLERANCE, 0.0, mean)


def wilcoxon(difference: ArrayLike, patients: Sequence[Any]) -> TestResult:
    """Wilcoxon's signed-rank test (1945) of the patients' mean differences; ties are left out.

    Exact up to 50 patients without equal sizes, else by the normal distribution with the
    correction for ties. Written out, as a sweep asks for thousands and SciPy's takes milliseconds.

    The effect is the matched-pairs rank-biserial correlation (Kerby 2014, Compr. Psychol. 3:11.IT.
    3.1): the share of ranks in favour minus the share against.
    """
    nonzero = patient_means(difference, patients)
    nonzero = nonzero[nonzero != 0]
    if not len(nonzero):
        return TestResult("Wilcoxon", 1.0 if np.size(difference) else math.nan, 0.0)
    sizes, counts = np.unique(np.abs(nonzero), return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[np.searchsorted(sizes, np.abs(nonzero))]
    n, total = len(nonzero), float(ranks.sum())
    against = float(ranks[nonzero < 0].sum())
    if n <= MAX_EXACT_N and counts.max() == 1:
        p = min(1.0, 2 * float(_signed_ranks(n)[: int(min(against, total - against)) + 1].sum()))
    else:
        variance = n * (n + 1) * (2 * n + 1) / 24 - float((counts**3 - counts).sum()) / 48
        p = float(2 * ndtr(-abs(against - total / 2) / math.sqrt(variance)))
    return TestResult("Wilcoxon", p, (total - 2 * against) / total)


@lru_cache(maxsize=MAX_EXACT_N)
def _signed_ranks(n: int) -> NDArray[np.float64]:
    """Probability of each sum of the ranks 1 ... n that carry a minus, signs being fair coins."""
    share = np.ones(1)
    for rank in range(1, n + 1):
        share = (np.pad(share, (0, rank)) + np.pad(share, (rank, 0))) / 2
    return share


def mcnemar(difference: ArrayLike, patients: Sequence[Any]) -> TestResult:
    """McNemar's test (1947) of right against wrong, where a difference is -1, 0 or 1.

    Exact (binomial) where each patient has one case. Else, and for means over seeds, the squared
    sum of patients' differences over the sum of their squares, on one degree of freedom: the
    robust form for clusters (Obuchowski 1998, Stat. Med. 17:1495), which is (b - c)^2 / (b + c)
    for single cases. The effect is (b - c) / (b + c).
    """
    values = np.asarray(difference, dtype=float)
    sums, counts = patient_sums(values[:, None], patients)
    sums = np.where(np.abs(sums) < TIE_TOLERANCE, 0.0, sums)[:, 0]
    nonzero = sums[sums != 0]
    if not len(nonzero):
        return TestResult("McNemar", 1.0 if len(values) else math.nan, 0.0)
    effect = float(nonzero.sum() / np.abs(nonzero).sum())
    if (counts <= 1).all() and np.isin(nonzero, (-1, 1)).all():
        better = int((nonzero > 0).sum())
        return TestResult("McNemar", float(stats.binomtest(better, len(nonzero)).pvalue), effect)
    chi2 = float(nonzero.sum() ** 2 / (nonzero**2).sum())
    return TestResult("McNemar", float(stats.chi2.sf(chi2, 1)), effect)


def holm(values: Sequence[float]) -> list[float]:
    """P values that hold for all tests together (Holm 1979, Scand. J. Stat. 6:65); nan stays.

    >>> holm([0.01, 0.04, 0.03, math.nan])
    [0.03, 0.06, 0.06, nan]
    """
    p = np.asarray(values, dtype=float)
    order = [i for i in np.argsort(p, kind="stable") if not math.isnan(p[i])]
    adjusted, running_max = np.full(len(p), math.nan), 0.0
    for place, i in enumerate(order):
        running_max = max(running_max, min(1.0, float(p[i]) * (len(order) - place)))
        adjusted[i] = running_max
    return [float(value) for value in adjusted]


def count_wins(difference: ArrayLike, better: str) -> tuple[int, int, int]:
    """Cases in which the contender is better, equal and worse.

    >>> count_wins([0.1, 0.0, -0.2, math.nan], "higher"), count_wins([0.1, 0.0, -0.2], "lower")
    ((1, 1, 1), (1, 1, 1))
    """
    values = np.asarray(difference, dtype=float) * (1 if better == "higher" else -1)
    return (
        int((values > TIE_TOLERANCE).sum()),
        int((np.abs(values) <= TIE_TOLERANCE).sum()),
        int((values < -TIE_TOLERANCE).sum()),
    )


POWER = 0.8
ALPHA = 0.05


def min_detectable_difference(
    spread: float, n: int, *, alpha: float = ALPHA, power: float = POWER
) -> float:
    """The smallest true mean difference that a paired test of `n` patients finds in `power` of
    all such studies, where patients' differences have the standard deviation `spread`.

    From the noncentral t distribution (Cohen 1988, chapter 2), which holds for Wilcoxon's test
    within 5 % where differences are about normal.

    Args:
        spread: standard deviation, in the unit of the differences.
        n: patients.
        alpha: of the two-sided test.
        power: 0 to 1.

    Returns:
        In the unit of the differences; nan for fewer than two patients.

    >>> round(min_detectable_difference(1.0, 34), 2)
    0.5
    """
    if n < 2 or math.isnan(spread):
        return math.nan
    if spread == 0:
        return 0.0
    return _shift(n, alpha, power) * spread / math.sqrt(n)


@lru_cache(maxsize=256)
def _shift(n: int, alpha: float, power: float) -> float:
    """The noncentrality of a t of n - 1 degrees of freedom that is beyond its limit so often."""
    limit = stats.t.ppf(1 - alpha / 2, n - 1)

    def missing(shift: float) -> float:  # the other tail adds nothing at such power
        return float(stats.nct.sf(limit, n - 1, shift)) - power

    return float(optimize.brentq(missing, 1e-6, 2 * (limit + stats.norm.ppf(power)) + 2))


def min_detectable_auroc(spread: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """The same for two areas under the ROC curve.

    Args:
        spread: standard error of their difference.
        alpha: of the two-sided test.
        power: 0 to 1.
    """
    return float((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * spread)


def sample_std(differences: np.ndarray) -> float:
    """Their standard deviation; nan for fewer than two."""
    return float(np.std(differences, ddof=1)) if len(differences) > 1 else math.nan
