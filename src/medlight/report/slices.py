"""The few cases worth a look, each as one slice: memory stays bounded whatever a test holds.

Pictures are (H, W) as on screen. Volumes lie in RAS and are shown as an axial slice in
radiological orientation: anterior above, the patient's right on the left.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlight.core.case_result import CaseResult, Row


@dataclass(frozen=True, slots=True)
class CaseSlice:
    """One slice of a case, ready to be shown.

    Attributes:
        case: id of the case.
        score: how good the prediction is; the lowest are kept.
        rows: the case's lines in cases.csv.
        image: (H, W) or (H, W, 3) uint8.
        truth, prediction: (H, W) label indices; segmentation only.
        slice: number of the axial slice; None for a 2-D image.
    """

    case: str
    score: float
    rows: tuple[Row, ...]
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None = None
    prediction: NDArray[np.uint8] | None = None
    slice: int | None = None


class WorstCases:
    """Keeps the `max_cases` cases with the lowest score, worst first.

    Args:
        max_cases: how many.
        score: rows of a case to how good it is; `Outcome.score` of its task.
    """

    def __init__(self, max_cases: int, score: Callable[[Sequence[Row]], float]) -> None:
        self.max_cases, self.score = max_cases, score
        self.slices: list[CaseSlice] = []

    def add(self, result: CaseResult) -> None:
        score = self.score(result.rows) if result.rows else math.inf
        if len(self.slices) == self.max_cases and score >= self.slices[-1].score:
            return
        if self.max_cases:
            self.merge([case_slice(result, score)])

    def merge(self, others: list[CaseSlice]) -> None:
        ranked = sorted([*self.slices, *others], key=lambda p: (p.score, p.case))
        self.slices = ranked[: self.max_cases]


def case_slice(result: CaseResult, score: float) -> CaseSlice:
    """The slice of a case with most foreground, in grey values for the screen."""
    image = to_screen(result.image)
    planes = image if image.shape[0] == 3 and image.ndim == 3 else image[:1]
    truth, prediction, number = result.truth, result.prediction, None
    if image.ndim == 4:
        number = _slice_index(truth, prediction, image.shape[-1])
        planes = np.stack([radiological(plane[..., number]) for plane in planes])
        truth = None if truth is None else radiological(truth[..., number])
        prediction = None if prediction is None else radiological(prediction[..., number])
    return CaseSlice(
        case=result.case,
        score=score,
        rows=result.rows,
        image=np.moveaxis(planes, 0, -1).copy() if len(planes) == 3 else planes[0].copy(),
        truth=None if truth is None else truth.copy(),
        prediction=None if prediction is None else prediction.copy(),
        slice=number,
    )


def to_screen(image: NDArray) -> NDArray[np.uint8]:
    """An image of any shape as 8-bit grey, half a percent of its values clipped at either end."""
    low, high = np.percentile(image, (0.5, 99.5))
    return (np.clip((image - low) / max(float(high - low), 1e-6), 0, 1) * 255).astype(np.uint8)


def radiological(plane: NDArray) -> NDArray:
    """An axial (R, A) plane as (H, W): anterior above, right on the left."""
    return plane[::-1, ::-1].T


def _slice_index(
    truth: NDArray[np.uint8] | None, prediction: NDArray[np.uint8] | None, depth: int
) -> int:
    for mask in (truth, prediction):
        if mask is not None and mask.any():
            return int(np.argmax((mask > 0).sum(axis=(0, 1))))
    return depth // 2
