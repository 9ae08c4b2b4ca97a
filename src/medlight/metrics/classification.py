"""Scores of a classifier from the rows of its cases."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.classification import binary_auroc, multiclass_f1_score


def summarise_classes(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Accuracy, macro F1 and macro one-against-rest AUROC, and the last two for each class.

    Rows hold `truth`, `prediction` and `p_<class>`. A class that no case has, or that every case
    has, has no AUROC; a class neither there nor predicted has no F1. Both are nan, and left out
    of the macro means.
    """
    truth = torch.tensor([names.index(row["truth"]) for row in rows])
    predicted = torch.tensor([names.index(row["prediction"]) for row in rows])
    if not len(truth):
        return {"accuracy": math.nan, "f1": math.nan, "auroc": math.nan, "cases": 0}
    every_f1 = multiclass_f1_score(predicted, truth, num_classes=len(names), average=None)
    scores: dict[str, float] = {}
    for k, name in enumerate(names):
        positive = truth == k
        probability = torch.tensor([row[f"p_{name}"] for row in rows], dtype=torch.float64)
        seen = bool(positive.any() or (predicted == k).any())
        both = bool(positive.any() and not positive.all())
        scores[f"f1/{name}"] = float(every_f1[k]) if seen else math.nan
        scores[f"auroc/{name}"] = (
            float(binary_auroc(probability, positive.long())) if both else math.nan
        )
        scores[f"cases/{name}"] = int(positive.sum())
    macro = {
        metric: _mean([scores[f"{metric}/{name}"] for name in names]) for metric in ("f1", "auroc")
    }
    accuracy = float((truth == predicted).double().mean())
    return {"accuracy": accuracy, **macro, "cases": len(rows), **scores}


def _mean(values: Sequence[float]) -> float:
    known = np.array([v for v in values if not math.isnan(v)])
    return float(known.mean()) if len(known) else math.nan
