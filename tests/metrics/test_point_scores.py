"""torchmetrics' numbers are those of the bootstrap's arithmetic and of scikit-learn; what is
undefined is nan, whatever torchmetrics says."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn

from medlight.metrics.classification import _multilabel_scores, _scores
from medlight.metrics.point_scores import binary_scores, confusion_counts, multiclass_scores

NAMES = ("a", "b", "c", "nobody")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ties", [False, True])
def test_one_of_several_classes(seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, 90)
    p = random.dirichlet(np.ones(4), 90)
    if ties:
        p = np.round(p, 1)
        p /= p.sum(axis=1, keepdims=True)
    predicted = random.integers(0, 3, 90)
    found = multiclass_scores(truth, predicted, p, NAMES)
    own = _scores(np.ones((1, 90)), truth, predicted, p, NAMES)
    for name, value in found.items():
        np.testing.assert_allclose(value, own[name][0], atol=1e-6, err_msg=name)
    assert math.isnan(found["auroc/nobody"])
    assert math.isnan(found["auprc/nobody"])
    assert math.isnan(found["f1/nobody"])
    assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(truth, predicted))
    assert found["balanced_accuracy"] == pytest.approx(
        sklearn.balanced_accuracy_score(truth, predicted)
    )
    assert found["auroc/b"] == pytest.approx(sklearn.roc_auc_score(truth == 1, p[:, 1]))
    expected = sklearn.confusion_matrix(truth, predicted, labels=range(4))
    np.testing.assert_array_equal(confusion_counts(truth, predicted, 4), expected)


@pytest.mark.parametrize(
    "kind", ["mixed", "no positive", "no negative", "one case", "nothing said"]
)
def test_a_label(kind: str) -> None:
    random = np.random.default_rng(0)
    count = 1 if kind == "one case" else 70
    p = random.random(count)
    positive = random.random(count) < {"no positive": -1, "no negative": 2}.get(kind, 0.4)
    if kind == "nothing said":
        p, positive = 0.4 * p, np.zeros(count, bool)
    found = binary_scores(positive, p > 0.5, p)
    truth = positive[:, None].astype(float)
    own = _multilabel_scores(np.ones((1, count)), truth, p[:, None], ["x"])
    for name, value in found.items():
        np.testing.assert_allclose(value, own[f"{name}/x"][0], atol=1e-6, err_msg=name)
    assert math.isnan(found["auroc"]) == (positive.all() or not positive.any())
