"""Classification scores against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from medlight.metrics.classification import summarise_classes

NAMES = ("Hand", "CXR", "HeadCT", "ChestCT")


def rows_of(truth: np.ndarray, probability: np.ndarray) -> list[dict[str, object]]:
    return [
        {
            "truth": NAMES[t],
            "prediction": NAMES[int(p.argmax())],
            **{f"p_{name}": float(v) for name, v in zip(NAMES, p, strict=True)},
        }
        for t, p in zip(truth, probability, strict=True)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, 200)
    truth[:4] = range(4)
    probability = random.dirichlet(np.ones(4), 200) + np.eye(4)[truth] * 0.3
    probability /= probability.sum(1, keepdims=True)
    scores = summarise_classes(rows_of(truth, probability), NAMES)
    predicted = probability.argmax(1)
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert scores["f1"] == pytest.approx(f1_score(truth, predicted, average="macro"), abs=1e-6)
    auroc = roc_auc_score(truth, probability, multi_class="ovr", average="macro")
    assert scores["auroc"] == pytest.approx(auroc, abs=1e-6)
    for k, name in enumerate(NAMES):
        one = roc_auc_score(truth == k, probability[:, k])
        assert scores[f"auroc/{name}"] == pytest.approx(one, abs=1e-6)
        assert scores[f"cases/{name}"] == (truth == k).sum()


def test_a_class_without_cases_has_no_auroc_and_does_not_spoil_the_mean() -> None:
    truth = np.array([0, 1, 0, 1])
    probability = np.array([[0.7, 0.3, 0, 0], [0.2, 0.8, 0, 0], [0.4, 0.6, 0, 0], [0.1, 0.9, 0, 0]])
    scores = summarise_classes(rows_of(truth, probability), NAMES)
    assert math.isnan(scores["auroc/HeadCT"])
    assert math.isnan(scores["f1/HeadCT"])
    assert scores["auroc"] == pytest.approx(roc_auc_score(truth, probability[:, 1]))
    assert scores["f1"] == pytest.approx(f1_score(truth, probability.argmax(1), average="macro"))


def test_no_case_at_all_is_nan_not_a_crash() -> None:
    assert math.isnan(summarise_classes([], NAMES)["accuracy"])
