"""Does uncertainty know where the errors are? Risk-coverage curves (Geifman and El-Yaniv 2017).

A case's risk is what went wrong, as its task defines it: 1 - mean Dice over the classes that count,
1 for a wrong class. If the most uncertain cases are left to a human, the risk of the others should
fall.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class CaseRisk:
    """One case: how uncertain its prediction is, and its risk; nan where that is not known."""

    case: str
    uncertainty: float
    risk: float

    @property
    def known(self) -> bool:
        """Whether it has both."""
        return not math.isnan(self.risk + self.uncertainty)


def rank_by_uncertainty(cases: Iterable[CaseRisk]) -> list[CaseRisk]:
    """The most uncertain first: the order in which to look at them."""
    return sorted(cases, key=lambda each: (-each.uncertainty, each.case))


def selective_risk(uncertainty: ArrayLike, risk: ArrayLike) -> NDArray[np.float64]:
    """Average the risk of the 1, 2, ... N most certain cases (Geifman and El-Yaniv 2017).

    Cases that are equally uncertain share their risk: what is expected of a random order.

    Args:
        uncertainty: (N,).
        risk: (N,).

    Returns:
        (N,).

    >>> selective_risk([0.1, 0.9, 0.5], [0.0, 1.0, 0.5]).tolist()
    [0.0, 0.25, 0.5]
    """
    uncertainties, lost = (
        np.asarray(uncertainty, dtype=np.float64),
        np.asarray(risk, dtype=np.float64),
    )
    _, group, size = np.unique(uncertainties, return_inverse=True, return_counts=True)
    shared = np.bincount(group, lost, len(size)) / size
    ranked = shared[np.sort(group)]
    running: NDArray[np.float64] = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return running


def aurc(cases: Iterable[CaseRisk]) -> float:
    """Area under the risk-coverage curve: the mean of `selective_risk`; nan without cases."""
    known = [each for each in rank_by_uncertainty(cases) if each.known]
    if not known:
        return math.nan
    curve = selective_risk([k.uncertainty for k in known], [k.risk for k in known])
    return float(curve.mean())
