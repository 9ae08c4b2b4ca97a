"""What a comparison could have seen: power, the other side of significance."""

import math
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

POWER = 0.8
ALPHA = 0.05


def min_detectable_difference(
    spread: float, n: int, *, alpha: float = ALPHA, power: float = POWER
) -> float:
    """The smallest true mean difference that a paired test of `n` patients finds in `power` of
    all such studies, where patients' differences have the standard deviation `spread`.

    From the noncentral t distribution (Cohen 1988, chapter 2), which holds for Wilcoxon's test
    within 5 % where differences are about normal. nan for fewer than two patients.

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
    """The same for two areas whose difference has the standard error `spread`."""
    return float((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * spread)


def sample_std(differences: np.ndarray) -> float:
    """Their standard deviation; nan for fewer than two."""
    return float(np.std(differences, ddof=1)) if len(differences) > 1 else math.nan
