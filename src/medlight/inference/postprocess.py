"""What may be mended in a predicted mask: small parts, all parts but the largest, holes.

Shapes: *S spatial axes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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
    """Do one class of (*S) labels, in place. Only its surroundings are looked at."""
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
