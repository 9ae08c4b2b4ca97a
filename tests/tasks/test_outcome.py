"""What a task says of a finished case, by hand; and a kind that nobody has seen."""

import math

import pytest

from medlight.core.outcome import Metric, OutcomeSpec
from medlight.tasks.multiclass_outcome import MulticlassOutcome
from medlight.tasks.multilabel_outcome import MultilabelOutcome
from medlight.tasks.outcome import Outcome
from medlight.tasks.segmentation_outcome import SegmentationOutcome

OUTCOMES = [
    SegmentationOutcome(("liver", "tumour"), policy="p", labels=("background", "liver", "tumour")),
    MulticlassOutcome(("x", "y")),
    MultilabelOutcome(("effusion", "mass")),
    Outcome(
        OutcomeSpec("regression", (), {"error_mm": Metric("lower", "mm", "error", "case")}, "")
    ),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.spec.kind)
def test_a_description_survives_its_file(outcome: Outcome) -> None:
    assert OutcomeSpec.from_dict(outcome.spec.as_dict()) == outcome.spec


def test_risk_of_a_segmentation() -> None:
    rows = [
        {"case": "a", "class": "liver", "dice": 0.8, "uncertainty": 0.2},
        {"case": "a", "class": "tumour", "dice": 0.4, "uncertainty": 0.2},
        {"case": "b", "class": "liver", "dice": math.nan, "uncertainty": 0.9},
        {"case": "c", "class": "liver", "dice": 0.0, "uncertainty": 0.5},
    ]
    risks = {each.case: each.risk for each in OUTCOMES[0].risks(rows)}
    assert risks["a"] == pytest.approx(0.4)
    assert math.isnan(risks["b"])
    assert risks["c"] == 1


def test_risk_of_classes_and_labels() -> None:
    wrong = {"case": "a", "truth": "x", "prediction": "y", "p_x": 0.2, "p_y": 0.8}
    assert (OUTCOMES[1].risk([wrong]), OUTCOMES[1].score([wrong])) == (1, 0.2)
    some = {"case": "a", "truth_effusion": 1.0, "truth_mass": math.nan}
    some |= {"p_effusion": 0.3, "p_mass": 0.9}
    assert OUTCOMES[2].risk([some]) == pytest.approx(0.7)
    assert OUTCOMES[2].score([some]) == pytest.approx(0.3)


def test_a_kind_nobody_has_seen_is_summarised_by_its_columns() -> None:
    rows = [
        {"case": c, "patient": c, "error_mm": e, "uncertainty": u}
        for c, e, u in (("a", 1.0, 0.1), ("b", 3.0, 0.9), ("c", 2.0, 0.5))
    ]
    scores = OUTCOMES[3].summarise(rows)
    assert (scores["error_mm"], scores["cases"]) == (2, 3)
    assert scores["aurc"] == pytest.approx((1 + 1.5 + 2) / 3)
    assert OUTCOMES[3].intervals(rows)["error_mm"].mean == 2
