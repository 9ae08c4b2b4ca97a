"""From rows to scores: what is averaged, over what, and how sure it is."""

import math

import numpy as np
import pytest

from medlight.metrics.bootstrap import bootstrap_interval
from medlight.metrics.segmentation import segmentation_intervals, summarise_segmentation


def row(case: str, name: str, dice: float, reference: int = 5, predicted: int = 5) -> dict:
    error = (predicted - reference) / 1000
    return {
        "case": case, "patient": case, "class": name, "dice": dice, "volume_ml_error": error,
        "n_reference": reference, "n_predicted": predicted,
    }  # fmt: skip


def test_mean_is_over_classes_of_means_over_cases() -> None:
    rows = [row("a", "liver", 1.0), row("b", "liver", 0.0), row("a", "tumour", 1.0)]
    rows += [row("b", "tumour", math.nan, 0, 0)]
    assert summarise_segmentation(rows, ["liver", "tumour"])["dice"] == (0.5 + 1.0) / 2


def test_denominators() -> None:
    rows = [
        row("a", "liver", math.nan, 0, 0), row("b", "liver", 0.0, 5, 0),
        row("c", "liver", 0.0, 0, 5), row("d", "liver", 0.0, 5, 5), row("e", "liver", 1.0),
    ]  # fmt: skip
    scores = summarise_segmentation(rows, ["liver"])
    counts = [
        scores[f"{n}/liver"] for n in ("cases", "not_scored", "false_negatives", "false_positives")
    ]
    assert counts == [4, 1, 2, 1]
    assert scores["dice/liver"] == 1 / 4


def test_errors_of_volume_may_cancel_but_their_sizes_do_not() -> None:
    rows = [row("a", "liver", 0.5, 5, 8), row("b", "liver", 0.5, 8, 5)]
    scores = summarise_segmentation(rows, ["liver"])
    assert scores["volume_ml_error/liver"] == 0
    assert scores["volume_ml_absolute_error/liver"] == pytest.approx(0.003)


def test_intervals() -> None:
    random = np.random.default_rng(0)
    values = random.uniform(0.5, 1, (40, 2))
    values[:30, 1] = math.nan
    rows = [
        row(f"c{i}", name, values[i, k], *([0, 0] if math.isnan(values[i, k]) else [5, 5]))
        for i in range(40)
        for k, name in enumerate("ab")
    ]
    scores = summarise_segmentation(rows, "ab")
    found = segmentation_intervals(rows, "ab")
    patients = [f"c{i}" for i in range(40)]
    for name, column in zip("ab", values.T, strict=True):
        assert found[f"dice/{name}"].low == pytest.approx(
            bootstrap_interval(column, patients).low, abs=1e-3
        )
        assert found[f"dice/{name}"].n == scores[f"cases/{name}"]
    assert found["dice"].mean == pytest.approx(scores["dice"])
    # The spread of the mean of two independent means.
    wide, narrow = (found[f"dice/{n}"].high - found[f"dice/{n}"].low for n in "ba")
    assert wide > narrow
    expected = math.hypot(wide, narrow) / 2
    assert found["dice"].high - found["dice"].low == pytest.approx(expected, rel=0.25)


def test_no_case_at_all_is_nan_not_a_crash() -> None:
    assert math.isnan(summarise_segmentation([], ["liver"])["dice"])
    assert segmentation_intervals([], ["liver"]) == {}
