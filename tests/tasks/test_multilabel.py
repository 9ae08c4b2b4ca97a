"""Findings: several at once, some never looked for."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.core.labels import Labels
from medlight.losses.cross_entropy import MaskedBCE
from medlight.tasks.multilabel import MultilabelTask

LABELS = Labels(("effusion", "nodule"), "multilabel")


class Net(nn.Module):
    """The mean grey value against both findings."""

    def __init__(self, *, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(1, 2, out_channels))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.flatten(1).mean(1, keepdim=True) * self.scale


def batch() -> dict[str, object]:
    label = torch.tensor([[1.0, math.nan], [0, 1], [-1, 0], [1, 1]])
    image = torch.randn(4, 1, 8, 8) + torch.tensor([2.0, -1, 0, 3])[:, None, None, None]
    return {"image": image, "label": label, "case": list("abcd")}


def task_for(labels: Labels = LABELS) -> MultilabelTask:
    return MultilabelTask(net=Net, spec=DataSpec(2, 1, labels), loss=MaskedBCE())


def test_rows_and_scores() -> None:
    task, given = task_for(), batch()
    with torch.no_grad():
        rows = [row for result in task.infer(given) for row in result.rows]
        p = task(given["image"]).sigmoid()
    assert [row["p_nodule"] for row in rows] == pytest.approx(p[:, 1].tolist())
    truths = [[row["truth_effusion"], row["truth_nodule"]] for row in rows]
    np.testing.assert_array_equal(truths, [[1, math.nan], [0, 1], [math.nan, 0], [1, 1]])
    scores = task.outcome.summarise(rows)
    assert (scores["cases/effusion"], scores["not_scored/effusion"]) == (3, 1)
    assert scores["auroc/effusion"] == 1
    lines = [row | {"patient": row["case"]} for row in rows]
    assert task.outcome.intervals(lines)["brier"].mean == pytest.approx(scores["brier"])
    assert torch.isfinite(task.step(given))


def test_members_answer_together_and_truth_may_be_unknown() -> None:
    task, given = task_for(), batch()
    with torch.no_grad():
        [first, *_] = task.infer(given)
        task.nets = [task, lambda image: -task(image)]
        del given["label"]
        [even, *_] = task.infer(given)
    assert "truth_nodule" in first.rows[0]
    assert "truth_nodule" not in even.rows[0]
    assert even.rows[0]["p_nodule"] == pytest.approx(0.5)


def test_other_data_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose task=classification"):
        task_for(Labels(("a", "b"), "multiclass"))
