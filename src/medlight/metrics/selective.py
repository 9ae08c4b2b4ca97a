"""Does uncertainty know where the errors are? Risk-coverage curves (Geifman and El-Yaniv 2017).

A case's risk is what went wrong: 1 - mean Dice over the classes that count, or 1 for a wrong class.
If the most uncertain cases are left to a human, the risk of the others should fall.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class CaseRisk:
    """One case: how uncertain its prediction is, and its risk; nan where that is not known."""

    case: str
    uncertainty: float
    risk: float


def rank_by_uncertainty(rows: Sequence[Mapping[str, Any]]) -> list[CaseRisk]:
    """The cases of rows that have an `uncertainty`, the ones to look at first in front."""
    of_case: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if "uncertainty" in row:
            of_case.setdefault(str(row["case"]), []).append(row)
    found = [
        CaseRisk(case, float(own[0]["uncertainty"]), case_risk(own))
        for case, own in of_case.items()
    ]
    return sorted(found, key=lambda each: (-each.uncertainty, each.case))


def case_risk(rows: Sequence[Mapping[str, Any]]) -> float:
    """From the rows of one case; nan where there is nothing to score."""
    if "truth" in rows[0]:
        return float(rows[0]["truth"] != rows[0]["prediction"])
    known = [float(row["dice"]) for row in rows if "dice" in row and not math.isnan(row["dice"])]
    return 1 - sum(known) / len(known) if known else math.nan


def selective_risk(uncertainty: ArrayLike, risk: ArrayLike) -> NDArray[np.float64]:
    """(N,) mean risk of the 1, 2, ... N most certain cases.

    Cases that are equally uncertain share their risk: what is expected of a random order.

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


def aurc(rows: Sequence[Mapping[str, Any]]) -> float:
    """Area under the risk-coverage curve: the mean of `selective_risk`; nan without cases."""
    known = [
        each for each in rank_by_uncertainty(rows) if not math.isnan(each.risk + each.uncertainty)
    ]
    if not known:
        return math.nan
    curve = selective_risk([k.uncertainty for k in known], [k.risk for k in known])
    return float(curve.mean())
