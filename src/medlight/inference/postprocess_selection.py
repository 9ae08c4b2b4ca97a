"""Let validation cases choose what is done to predicted masks.

Shapes: *S spatial axes.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.inference.postprocess import (
    Postprocessing,
    PostprocessStep,
    candidates,
    postprocess_class,
)
from medlight.metrics.segmentation_cases import dice
from medlight.runs.directory import POSTPROCESSING_FILE

MIN_GAIN = 1e-3
"""Mean Dice that a step must bring: less is noise, and a plain answer is easier to trust."""


@dataclass(slots=True)
class CandidateScores:
    """Dice of every candidate, for each class and validation case.

    A case without the class counts 1 where nothing is predicted and 0 where something is: else
    removing a false finding would earn nothing.

    Attributes:
        names: of all classes, the background first.
        scores: class to one list of Dice for each candidate, in their order.
    """

    names: Sequence[str]
    ndim: int
    scores: dict[str, list[list[float]]] = field(default_factory=dict)

    def add(
        self, predicted: NDArray[np.uint8], truth: NDArray[np.uint8], spacing_mm: Sequence[float]
    ) -> None:
        """Try all candidates on a case."""
        steps = candidates(self.ndim)
        for index, name in enumerate(self.names):
            if not index:
                continue
            lists = self.scores.setdefault(name, [[] for _ in steps])
            reference = truth == index
            plain = _dice_or_one(predicted == index, reference)
            for step, scores in zip(steps, lists, strict=True):
                if step == PostprocessStep():
                    scores.append(plain)
                    continue
                processed = predicted.copy()
                postprocess_class(processed, index, step, spacing_mm)
                scores.append(_dice_or_one(processed == index, reference))

    def means(self) -> dict[str, Any]:
        """For each class the cases, and the mean Dice of each candidate."""
        return {
            name: {
                "cases": len(lists[0]),
                "dice": {
                    step.name: round(float(np.mean(scores)), 6)
                    for step, scores in zip(candidates(self.ndim), lists, strict=True)
                },
            }
            for name, lists in self.scores.items()
        }


@dataclass(frozen=True, slots=True)
class CandidateMeans:
    """What one run's validation cases say: see `CandidateScores.means`."""

    ndim: int
    means: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"spatial_dims": self.ndim, "classes": self.means}

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> "CandidateMeans":
        return cls(int(held["spatial_dims"]), held["classes"])


def load_candidate_means(run_dir: Path) -> CandidateMeans | None:
    """What the verb `postprocess` wrote into a run directory; None if it was not asked."""
    path = Path(run_dir) / POSTPROCESSING_FILE
    if not path.is_file():
        return None
    return CandidateMeans.from_dict(json.loads(path.read_text(encoding="utf-8")))


def select_postprocessing(choices: Sequence[CandidateMeans]) -> Postprocessing:
    """The best candidate for each class, over the validation cases of all runs; the plainest of
    equals, and nothing where the gain is not worth it."""
    first = choices[0]
    steps = candidates(first.ndim)
    chosen = {}
    for name in first.means:
        cases = np.array([float(each.means[name]["cases"]) for each in choices])
        table = np.array(
            [[each.means[name]["dice"][step.name] for step in steps] for each in choices]
        )
        mean = cases @ table / cases.sum()
        best = int(np.argmax(mean.round(6)))
        if mean[best] - mean[0] >= MIN_GAIN:
            chosen[name] = steps[best]
    return Postprocessing(chosen)


def _dice_or_one(predicted: NDArray[np.bool_], reference: NDArray[np.bool_]) -> float:
    """Dice of a class in a case; 1 where it is neither there nor predicted."""
    both = int((predicted & reference).sum())
    score = dice(both, int(reference.sum()), int(predicted.sum()))
    return 1.0 if math.isnan(score) else score
