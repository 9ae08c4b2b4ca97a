"""Findings against scikit-learn, with what nobody looked at left out."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from medlight.metrics.classification import multilabel_intervals, summarise_multilabel

NAMES = ("effusion", "nodule", "never")


def table() -> tuple[np.ndarray, np.ndarray, list[dict]]:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, (80, 3)).astype(float)
    probability = np.clip(truth * 0.3 + random.random((80, 3)) * 0.7, 0, 1)
    truth[random.random((80, 3)) < 0.3] = math.nan
    truth[:, 2] = math.nan
    rows = [
        {"case": f"c{i}", "patient": f"p{i}"}
        | {f"truth_{name}": truth[i, k] for k, name in enumerate(NAMES)}
        | {f"p_{name}": probability[i, k] for k, name in enumerate(NAMES)}
        for i in range(80)
    ]
    return truth, probability, rows


def test_equals_scikit_learn_on_what_was_looked_at() -> None:
    truth, probability, rows = table()
    scores = summarise_multilabel(rows, NAMES)
    for k, name in enumerate(NAMES[:2]):
        looked = ~np.isnan(truth[:, k])
        one = truth[looked, k].astype(int), probability[looked, k]
        said = one[1] > 0.5
        expected = {
            "auroc": sk.roc_auc_score(*one),
            "auprc": sk.average_precision_score(*one),
            "f1": sk.f1_score(one[0], said),
            "accuracy": sk.accuracy_score(one[0], said),
            "brier": sk.brier_score_loss(*one),
            "log_loss": sk.log_loss(*one),
        }
        assert {m: scores[f"{m}/{name}"] for m in expected} == pytest.approx(expected)
        assert scores[f"cases/{name}"] == looked.sum()
        assert scores[f"not_scored/{name}"] == 80 - looked.sum()
    assert scores["auroc"] == pytest.approx(np.mean([scores[f"auroc/{n}"] for n in NAMES[:2]]))


def test_a_finding_that_nobody_looked_for_has_no_score() -> None:
    scores = summarise_multilabel(table()[2], NAMES)
    assert math.isnan(scores["auroc/never"])
    assert (scores["cases/never"], scores["not_scored/never"]) == (0, 80)


def test_intervals() -> None:
    found = multilabel_intervals(table()[2], NAMES)
    assert found["auroc/nodule"].low < found["auroc/nodule"].mean < found["auroc/nodule"].high
    assert multilabel_intervals([], NAMES) == {}
    assert math.isnan(summarise_multilabel([], NAMES)["auroc"])
