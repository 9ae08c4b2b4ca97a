"""The one table of metrics, against itself."""

from medlight.metrics.names import CASE_METRICS, COUNTS, METRICS, segmentation_policy


def test_units_stand_in_names() -> None:
    for name, metric in METRICS.items():
        assert ("_mm" in name) == (metric.unit == "mm"), name
        assert ("_ml" in name) == (metric.unit == "mL"), name


def test_columns_of_cases_are_metrics_and_counts_are_none() -> None:
    assert CASE_METRICS[0] == "dice"
    assert CASE_METRICS[-1] == "detected"
    assert not set(COUNTS) & set(METRICS)


def test_the_policy_names_the_tolerance() -> None:
    assert segmentation_policy(1) == segmentation_policy(1.0) != segmentation_policy(2)
