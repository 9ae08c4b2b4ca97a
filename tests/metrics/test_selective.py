"""Risk against coverage: hand cases, and the order of all orders."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlight.metrics.selective import CaseRisk, aurc, rank_by_uncertainty, selective_risk

RISKS = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def by_hand(uncertainty: list[float], risk: list[float]) -> float:
    """The mean over all orders that sort the uncertainties, of the mean over coverages."""
    areas = []
    for order in itertools.permutations(range(len(risk))):
        ranked = [uncertainty[i] for i in order]
        if ranked == sorted(ranked):
            kept = [risk[i] for i in order]
            areas.append(np.mean([np.mean(kept[: n + 1]) for n in range(len(kept))]))
    return float(np.mean(areas))


@given(RISKS, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_equals_all_orders_even_where_uncertainties_tie(risk: list[float], random) -> None:
    uncertainty = [float(random.randint(0, 2)) for _ in risk]
    assert selective_risk(uncertainty, risk).mean() == pytest.approx(by_hand(uncertainty, risk))


@given(RISKS)
def test_no_order_is_better_than_that_of_the_risk(risk: list[float]) -> None:
    best = selective_risk(risk, risk).mean()
    random = np.random.default_rng(0)
    assert best <= selective_risk(random.random(len(risk)), risk).mean() + 1e-12
    whole = selective_risk(np.zeros(len(risk)), risk)
    assert whole == pytest.approx([np.mean(risk)] * len(risk))


def test_the_most_uncertain_come_first_and_unknown_risks_do_not_count() -> None:
    cases = [CaseRisk("a", 0.2, 0.4), CaseRisk("b", 0.9, math.nan), CaseRisk("c", 0.5, 1.0)]
    assert [each.case for each in rank_by_uncertainty(cases)] == ["b", "c", "a"]
    assert aurc(cases) == pytest.approx((0.4 + (0.4 + 1) / 2) / 2)  # b has nothing to score
    assert math.isnan(aurc([]))
