"""The area under the ROC curve, its error, and the difference of two: DeLong's way.

DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44:837), computed from ranks (Sun and Xu 2014,
IEEE Signal Process. Lett. 21:1389). Where a patient has several cases, their parts are added before
they are squared (Obuchowski 1997, Biometrics 53:567), which is DeLong's for single cases.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logit

from medlight.compare.statistics import TestResult
from medlight.metrics.bootstrap import CONFIDENCE_LEVEL, Interval


@dataclass(frozen=True, slots=True)
class Auroc:
    """An area and what each case adds to its error.

    Attributes:
        area: nan where one of the two classes is missing.
        influence: (N,) what a case pulls the area up or down; the variance is the sum over patients
            of their squared sums.
        n: cases.
    """

    area: float
    influence: NDArray[np.float64]
    n: int


def auroc(
    score: NDArray[np.float64], positive: NDArray[np.bool_], patients: Sequence[Any]
) -> Auroc:
    """The area that scores reach in telling positive cases from the others.

    Args:
        score: (N,).
        positive: (N,).
        patients: N, whose they are.

    Returns:
        The area, nan where one side is empty, and each case's influence on it.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return Auroc(math.nan, np.full(len(score), math.nan), len(score))
    everyone = stats.rankdata(score)
    within = np.empty(len(score))
    within[positive], within[~positive] = (
        stats.rankdata(score[positive]), stats.rankdata(score[~positive]),
    )  # fmt: skip
    placed = everyone - within  # how many of the other class lie below, ties half
    area = float(placed[positive].sum() / (m * n))
    names = np.asarray(patients)
    influence = np.empty(len(score))
    for which, size, others, sign in ((positive, m, n, 1), (~positive, n, m, -1)):
        above = placed[which] / others if sign > 0 else 1 - placed[which] / others
        independent = len(np.unique(names[which]))
        wide = math.sqrt(independent / (independent - 1)) if independent > 1 else math.nan
        influence[which] = (above - area) / size * wide
    return Auroc(area, influence, len(score))


def standard_error(influence: NDArray[np.float64], patients: Sequence[Any]) -> float:
    """Standard error: parts are added within patients, squared, and added."""
    _, place = np.unique(np.asarray(patients), return_inverse=True)
    return float(np.sqrt((np.bincount(place, weights=influence) ** 2).sum()))


def area_interval(
    area: Auroc, patients: Sequence[Any], confidence_level: float = CONFIDENCE_LEVEL
) -> Interval:
    """An interval on the logit scale, so that no end lies beyond 0 or 1 (Pepe 2003, section 5.2).

    Args:
        area: of N cases.
        patients: N, whose they are.
        confidence_level: 0 to 1.
    """
    spread = standard_error(area.influence, patients)
    if math.isnan(area.area) or math.isnan(spread):
        return Interval(area.area, math.nan, math.nan, area.n)
    if area.area in (0.0, 1.0) or spread == 0:
        return Interval(area.area, area.area, area.area, area.n)
    reach = stats.norm.ppf((1 + confidence_level) / 2) * spread / (area.area * (1 - area.area))
    low, high = expit(logit(area.area) + np.array([-reach, reach]))
    return Interval(area.area, float(low), float(high), area.n)


def difference_interval(
    contender: Auroc,
    reference: Auroc,
    patients: Sequence[Any],
    confidence_level: float = CONFIDENCE_LEVEL,
) -> Interval:
    """An interval of the difference of two areas on the same cases.

    Args:
        contender, reference: of N cases.
        patients: N, whose they are.
        confidence_level: 0 to 1.
    """
    difference, spread = _difference(contender, reference, patients)
    reach = stats.norm.ppf((1 + confidence_level) / 2) * spread
    return Interval(difference, difference - reach, difference + reach, contender.n)


def delong(contender: Auroc, reference: Auroc, patients: Sequence[Any]) -> TestResult:
    """Test whether two areas on the same cases differ (DeLong et al. 1988), patients as clusters.

    Args:
        contender, reference: of N cases.
        patients: N, whose they are.
    """
    difference, spread = _difference(contender, reference, patients)
    if math.isnan(spread):
        return TestResult("DeLong", math.nan, math.nan)
    p = 2 * stats.norm.sf(abs(difference) / spread) if spread else float(difference == 0)
    return TestResult("DeLong", float(p), math.nan)


def _difference(contender: Auroc, reference: Auroc, patients: Sequence[Any]) -> tuple[float, float]:
    return contender.area - reference.area, standard_error(
        contender.influence - reference.influence, patients
    )
