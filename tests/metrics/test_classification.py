"""Classification scores against scikit-learn and torchmetrics, plain and in draws."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_calibration_error

from medlight.metrics.classification import (
    classification_intervals,
    summarise_classification,
    summarise_multilabel,
)
from medlight.metrics.weighted_metrics import (
    WeightedRanking,
    weighted_calibration_error,
    weighted_f1,
)

NAMES = ("Hand", "CXR", "HeadCT", "ChestCT")


def rows_of(truth: np.ndarray, probability: np.ndarray) -> list[dict[str, object]]:
    return [
        {
            "case": f"c{i}",
            "patient": f"p{i // 2}",
            "truth": NAMES[t],
            "prediction": NAMES[int(p.argmax())],
            **{f"p_{name}": float(v) for name, v in zip(NAMES, p, strict=True)},
        }
        for i, (t, p) in enumerate(zip(truth, probability, strict=True))
    ]


def guesses(seed: int, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, count)
    truth[:4] = range(4)
    probability = random.dirichlet(np.ones(4), count) + np.eye(4)[truth] * 0.3
    probability = np.round(probability / probability.sum(1, keepdims=True), 2)  # ties
    return truth, probability / probability.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_learn(seed: int) -> None:
    truth, probability = guesses(seed)
    predicted, sure = probability.argmax(1), probability.max(1)
    brier = sk.brier_score_loss(truth, probability, labels=range(4), scale_by_half=False)
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted),
        "f1": sk.f1_score(truth, predicted, average="macro"),
        "auroc": sk.roc_auc_score(truth, probability, multi_class="ovr", average="macro"),
        "brier": brier,
        "log_loss": sk.log_loss(truth, probability, labels=range(4)),
    }
    scores = summarise_classification(rows_of(truth, probability), NAMES)
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert scores["ece"] == pytest.approx(by_hand(sure, predicted == truth))
    for k, name in enumerate(NAMES):
        one = truth == k, probability[:, k]
        alarms, hits, _ = sk.roc_curve(*one, drop_intermediate=False)
        assert scores[f"auroc/{name}"] == pytest.approx(sk.roc_auc_score(*one))
        assert scores[f"auprc/{name}"] == pytest.approx(sk.average_precision_score(*one))
        assert scores[f"f1/{name}"] == pytest.approx(sk.f1_score(one[0], predicted == k))
        sensitivity = hits[alarms <= 0.05 + 1e-12].max()
        assert scores[f"sensitivity_at_specificity/{name}"] == pytest.approx(sensitivity)
        assert scores[f"cases/{name}"] == (truth == k).sum()


def test_calibration_error_equals_torchmetrics() -> None:
    random = np.random.default_rng(5)
    truth, probability = random.integers(0, 4, 300), random.dirichlet(np.ones(4), 300)
    scores = summarise_classification(rows_of(truth, probability), NAMES)
    theirs = multiclass_calibration_error(
        torch.from_numpy(probability), torch.from_numpy(truth), num_classes=4, n_bins=15
    )
    assert scores["ece"] == pytest.approx(float(theirs), abs=1e-6)


def by_hand(sure: np.ndarray, right: np.ndarray) -> float:
    total = 0.0
    for low in range(15):
        inside = (sure > low / 15) & (sure <= (low + 1) / 15)
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - sure[inside].mean())
    return total / len(sure)


def test_weights_are_as_good_as_copies() -> None:
    truth, probability = guesses(9, 60)
    weights = np.random.default_rng(0).integers(0, 4, (5, 60)).astype(float)
    score, positive = probability[:, 0], truth == 0
    ranking = WeightedRanking.from_scores(weights, positive, score)
    for row, weight in enumerate(weights.astype(int)):
        again = np.repeat(np.arange(60), weight)
        one = positive[again], score[again]
        alarms, hits, _ = sk.roc_curve(*one, drop_intermediate=False)
        assert ranking.auroc()[row] == pytest.approx(sk.roc_auc_score(*one))
        assert ranking.auprc()[row] == pytest.approx(sk.average_precision_score(*one))
        assert ranking.sensitivity(0.8)[row] == pytest.approx(hits[alarms <= 0.2 + 1e-12].max())
        guess = score > 0.4
        expected = sk.f1_score(positive[again], guess[again])
        assert weighted_f1(weights, positive, guess)[row] == pytest.approx(expected)
        error = weighted_calibration_error(np.ones((1, len(again))), score[again], positive[again])
        assert weighted_calibration_error(weights, score, positive)[row] == pytest.approx(error[0])


def test_intervals_hold_their_score_and_narrow_with_patients() -> None:
    few = classification_intervals(rows_of(*guesses(1, 60)), NAMES)
    many = classification_intervals(rows_of(*guesses(1, 600)), NAMES)
    scores = summarise_classification(rows_of(*guesses(1, 600)), NAMES)
    for name, found in many.items():
        assert found.mean == pytest.approx(scores[name]), name
        assert found.low < found.high, name
        if name != "ece":  # biased upwards in every draw
            assert found.low <= found.mean <= found.high, name
            assert found.high - found.low < few[name].high - few[name].low, name


def test_one_patient_is_no_interval() -> None:
    rows = [row | {"patient": "p"} for row in rows_of(*guesses(1, 20))]
    assert math.isnan(classification_intervals(rows, NAMES)["accuracy"].low)


def test_a_class_without_cases_has_no_auroc_and_does_not_spoil_the_mean() -> None:
    truth = np.array([0, 1, 0, 1])
    probability = np.array([[0.7, 0.3, 0, 0], [0.2, 0.8, 0, 0], [0.4, 0.6, 0, 0], [0.1, 0.9, 0, 0]])
    scores = summarise_classification(rows_of(truth, probability), NAMES)
    assert math.isnan(scores["auroc/HeadCT"])
    assert math.isnan(scores["f1/HeadCT"])
    assert scores["auroc"] == pytest.approx(sk.roc_auc_score(truth, probability[:, 1]))
    assert scores["f1"] == pytest.approx(sk.f1_score(truth, probability.argmax(1), average="macro"))


def test_no_case_at_all_is_nan_not_a_crash() -> None:
    assert math.isnan(summarise_classification([], NAMES)["accuracy"])
    assert classification_intervals([], NAMES) == {}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_probabilities_that_are_no_numbers_have_no_score(value: float) -> None:
    """Sorted as they come, those of 90 benign and 10 malignant cases gave an AUROC of 1.0."""
    truth = np.repeat([0, 1, 2], 4)
    probability = np.full((12, 4), value)
    rows = rows_of(truth, probability)
    scores = summarise_classification(rows, NAMES)
    assert all(math.isnan(v) for name, v in scores.items() if not name.startswith("cases"))
    rows = [row | {"patient": str(k)} for k, row in enumerate(rows)]
    found = classification_intervals(rows, NAMES).values()
    assert all(math.isnan(each.low) and math.isnan(each.mean) for each in found)


def test_answers_for_several_labels_that_are_no_numbers_have_no_score() -> None:
    rows = [
        {"truth_a": k % 2, "p_a": k / 8, "truth_b": k % 2, "p_b": math.nan if k == 3 else 0.5}
        for k in range(8)
    ]
    scores = summarise_multilabel(rows, ["a", "b"])
    assert all(math.isnan(scores[name]) for name in ("auroc", "auroc/b", "accuracy"))
    rows[3]["truth_b"] = math.nan  # nobody looked: the answer counts for nothing
    assert summarise_multilabel(rows, ["a", "b"])["accuracy/b"] == 4 / 7
