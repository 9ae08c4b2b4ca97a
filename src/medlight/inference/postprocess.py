"""Post-process predicted masks: remove small parts or all parts but the largest, fill holes; and
let validation cases choose which of it is done.

Shapes: *S spatial axes.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medlight.core.errors import reading
from medlight.metrics.segmentation_cases import dice
from medlight.runs.directory import POSTPROCESSING_FILE

SIZES_ML = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
SIZES_PIXELS = (10.0, 30.0, 100.0, 300.0, 1000.0)


@dataclass(frozen=True, slots=True)
class PostprocessStep:
    """What is done to one class. Parts touch by faces, edges or corners.

    Attributes:
        keep_largest: keep the largest part only.
        min_size: remove parts smaller than so many mL; in images, pixels.
        fill_holes: give the class what is background and wholly surrounded by it.
    """

    keep_largest: bool = False
    min_size: float = 0.0
    fill_holes: bool = False

    @property
    def name(self) -> str:
        """
        >>> PostprocessStep(min_size=0.3, fill_holes=True).name
        'at least 0.3, filled'
        """
        size = f"at least {self.min_size:g}" if self.min_size else ""
        parts = ("largest" if self.keep_largest else "", size, "filled" if self.fill_holes else "")
        return ", ".join(filter(None, parts)) or "unchanged"


def candidates(ndim: int) -> list[PostprocessStep]:
    """What validation cases may choose from, the plainest first."""
    sizes = [PostprocessStep(min_size=size) for size in (SIZES_ML if ndim == 3 else SIZES_PIXELS)]
    kept = [PostprocessStep(), *sizes, PostprocessStep(keep_largest=True)]
    return [
        *kept,
        *(PostprocessStep(each.keep_largest, each.min_size, fill_holes=True) for each in kept),
    ]


@dataclass(frozen=True, slots=True)
class Postprocessing:
    """Steps for the classes that have any, by the name of the class."""

    steps: Mapping[str, PostprocessStep]

    def __call__(
        self, labels: NDArray[np.uint8], names: Sequence[str], spacing_mm: Sequence[float]
    ) -> NDArray[np.uint8]:
        """(*S) labels to mended ones; `names` in the order of their indices."""
        processed = labels
        for index, name in enumerate(names):
            if index and self.steps.get(name, PostprocessStep()) != PostprocessStep():
                processed = processed.copy() if processed is labels else processed
                postprocess_class(processed, index, self.steps[name], spacing_mm)
        return processed

    def as_dict(self) -> dict[str, Any]:
        return {name: asdict(step) for name, step in self.steps.items()}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "Postprocessing":
        return cls({name: PostprocessStep(**step) for name, step in held.items()})


def postprocess_class(
    labels: NDArray[np.uint8], index: int, step: PostprocessStep, spacing_mm: Sequence[float]
) -> None:
    """Post-process one class, in place. Only its surroundings are looked at.

    Args:
        labels: (*S).
        index: of the class.
        step: what is done.
        spacing_mm: voxel size along each axis.
    """
    [box] = ndimage.find_objects((labels == index).astype(np.uint8)) or [None]
    if box is None:
        return
    here = labels[box]
    mask = here == index
    if step.keep_largest or step.min_size:
        parts, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        sizes[0] = 0
        keep = sizes * voxel_size_ml(spacing_mm) >= step.min_size
        if step.keep_largest:
            keep &= np.arange(count + 1) == sizes.argmax()
        keep[0] = False
        here[mask & ~keep[parts]] = 0
        mask = keep[parts]
    if step.fill_holes:
        here[ndimage.binary_fill_holes(mask) & (here == 0)] = index


def voxel_size_ml(spacing_mm: Sequence[float]) -> float:
    """mL of a voxel; in images, one pixel."""
    return float(np.prod(spacing_mm)) / 1000 if len(spacing_mm) == 3 else 1.0


MIN_GAIN = 1e-3
"""Mean Dice that a step must bring: less is noise, and a plain answer is easier to trust."""


@dataclass(slots=True)
class CandidateScores:
    """Dice of every candidate, for each class and validation case.

    A case without the class counts 1 where nothing is predicted and 0 where something is: else
    removing a false finding would earn nothing.

    Attributes:
        names: of all classes, the background first.
        ndim: spatial axes.
        ignore: label of the truth whose voxels do not count.
        scores: class to one list of Dice for each candidate, in their order.
    """

    names: Sequence[str]
    ndim: int
    ignore: int | None = None
    scores: dict[str, list[list[float]]] = field(default_factory=dict)

    def add(
        self, predicted: NDArray[np.uint8], truth: NDArray[np.uint8], spacing_mm: Sequence[float]
    ) -> None:
        """Try all candidates on a case.

        Args:
            predicted, truth: (*S) labels.
            spacing_mm: voxel size along each axis.
        """
        steps, counts = candidates(self.ndim), truth != self.ignore
        for index, name in enumerate(self.names):
            if index in (0, self.ignore):
                continue
            lists = self.scores.setdefault(name, [[] for _ in steps])
            reference = truth == index
            plain = _dice_or_one((predicted == index) & counts, reference)
            for step, scores in zip(steps, lists, strict=True):
                if step == PostprocessStep():
                    scores.append(plain)
                    continue
                processed = predicted.copy()
                postprocess_class(processed, index, step, spacing_mm)
                scores.append(_dice_or_one((processed == index) & counts, reference))

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
        ndim = int(held["spatial_dims"])
        means: dict[str, Any] = {
            str(name): {
                "cases": int(about["cases"]),
                "dice": {each.name: float(about["dice"][each.name]) for each in candidates(ndim)},
            }
            for name, about in held["classes"].items()
        }
        dice = [score for each in means.values() for score in each["dice"].values()]
        if not all(0 < each["cases"] < 2**31 for each in means.values()) or not all(
            0 <= score <= 1 for score in dice
        ):
            raise ValueError("a class of no or too many cases, or a Dice that is none")
        return cls(ndim, means)


def load_candidate_means(run_dir: Path) -> CandidateMeans | None:
    """What the verb `postprocess` wrote into a run directory; None if it was not asked."""
    path = Path(run_dir) / POSTPROCESSING_FILE
    if not path.is_file():
        return None
    with reading(path, "type medlight postprocess run=<the run> to write it again"):
        return CandidateMeans.from_dict(json.loads(path.read_text(encoding="utf-8")))


def select_postprocessing(choices: Sequence[CandidateMeans]) -> Postprocessing:
    """Choose the best candidate for each class, over the validation cases of all runs.

    The plainest of equals is taken, and nothing unless the gain is `MIN_GAIN`.

    Args:
        choices: what the cases of each run say.
    """
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
