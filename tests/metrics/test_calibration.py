"""Temperature scaling against SciPy's optimiser on true logits; reliability by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve

from medlight.metrics.calibration import (
    MAX_TEMPERATURE,
    apply_temperature,
    calibration_scores,
    fit_temperature,
    reliability,
)  # fmt: skip


def overconfident(seed: int, by: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is right, times `by`; and classes drawn from the right ones."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (count, 3))
    truth = (random.random((count, 1)) > softmax(logits, 1).cumsum(1)).sum(1)
    return truth, logits * by


@pytest.mark.parametrize("by", [0.5, 1.0, 3.0])
def test_finds_the_temperature_of_the_logits_from_probabilities(by: float) -> None:
    truth, logits = overconfident(0, by)
    found = fit_temperature(truth, softmax(logits, 1))
    rows = np.arange(len(truth))

    def loss(temperature: float) -> float:
        return -log_softmax(logits / temperature, 1)[rows, truth].mean()

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded").x
    assert found == pytest.approx(best, rel=1e-3)
    assert found == pytest.approx(by, rel=0.1)
    np.testing.assert_allclose(
        apply_temperature(softmax(logits, 1), 2), softmax(logits / 2, 1), atol=1e-9
    )


def test_scaling_mends_overconfidence_and_changes_no_decision() -> None:
    truth, logits = overconfident(1, 3.0)
    test_truth, test_logits = overconfident(2, 3.0)
    before = softmax(test_logits, 1)
    after = apply_temperature(before, fit_temperature(truth, softmax(logits, 1)))
    old, new = calibration_scores(test_truth, before), calibration_scores(test_truth, after)
    assert new["ece"] < 0.03 < old["ece"]
    assert new["brier"] < old["brier"]
    assert new["log_loss"] < old["log_loss"]
    np.testing.assert_array_equal(before.argmax(1), after.argmax(1))


def test_without_a_mistake_the_temperature_stays_finite() -> None:
    probability = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert 1 / MAX_TEMPERATURE <= fit_temperature(np.array([0, 1]), probability) <= MAX_TEMPERATURE


def test_reliability_equals_scikit_learn() -> None:
    truth, logits = overconfident(3, 2.0)
    probability = softmax(logits, 1)
    found = reliability(truth, probability, bins=10)
    right, sure = probability.argmax(1) == truth, probability.max(1)
    accuracy, confidence = calibration_curve(right, sure, n_bins=10)
    full = found.cases > 0
    np.testing.assert_allclose(found.accuracy[full], accuracy)
    np.testing.assert_allclose(found.confidence[full], confidence)
    assert found.cases.sum() == len(truth)
