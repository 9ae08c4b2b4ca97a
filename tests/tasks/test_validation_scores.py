"""The scores of a validation are known by their names before there is one."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from torch import nn

from medlight.core.data_spec import DataSpec
from medlight.core.labels import Labels
from medlight.metrics.names import COUNTS
from medlight.tasks.base import Task
from medlight.tasks.classification import ClassificationTask
from medlight.tasks.multilabel import MultilabelTask
from medlight.tasks.segmentation import SegmentationTask

NAMES = ("back", "liver")
MASK = np.array([[0, 1], [1, 0]], np.uint8)
SURE = {"uncertainty": 0.1, "p_back": 0.8, "p_liver": 0.2}
TASKS: dict[str, tuple[type[Task], list[dict[str, Any]]]] = {
    "mask": (SegmentationTask, []),
    "multiclass": (
        ClassificationTask,
        [{**SURE, "case": n, "truth": n, "prediction": "back"} for n in NAMES],
    ),
    "multilabel": (
        MultilabelTask,
        [{**SURE, "case": str(n), "truth_back": n, "truth_liver": 1 - n} for n in (0, 1)],
    ),
}


@pytest.mark.parametrize("kind", TASKS)
def test_they_are_those_that_are_logged(kind: Any) -> None:
    make, rows = TASKS[kind]
    net = partial(lambda **_: nn.Conv2d(1, 2, 1))
    task = make(net=net, spec=DataSpec(2, 1, Labels(NAMES, kind), (8, 8)), loss=nn.MSELoss())
    if isinstance(task, SegmentationTask):
        rows = task.scorer.dice_rows("a", MASK, MASK)  # type: ignore[assignment]
    logged = {
        f"val/{name}": value
        for name, value in task.outcome.summarise(rows).items()
        if name.partition("/")[0] not in COUNTS
    }
    assert set(logged) <= set(task.validation_scores())
    assert all(("dice" in name) == (kind == "mask") for name in task.validation_scores())
