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
class Step:
    """What is done to one class. Parts touch by faces, edges or corners.

    Attributes:
        largest: keep the largest part only.
        at_least: remove parts smaller than so many mL; in images, pixels.
        fill: give the class what is background and wholly surrounded by it.
    """

    largest: bool = False
    at_least: float = 0.0
    fill: bool = False

    @property
    def name(self) -> str:
        """
        >>> Step(at_least=0.3, fill=True).name
        'at least 0.3, filled'
        """
        size = f"at least {self.at_least:g}" if self.at_least else ""
        parts = ("largest" if self.largest else "", size, "filled" if self.fill else "")
        return ", ".join(filter(None, parts)) or "unchanged"


def candidates(ndim: int) -> list[Step]:
    """What validation cases may choose from, the plainest first."""
    sizes = [Step(at_least=size) for size in (SIZES_ML if ndim == 3 else SIZES_PIXELS)]
    kept = [Step(), *sizes, Step(largest=True)]
    return [*kept, *(Step(each.largest, each.at_least, fill=True) for each in kept)]


@dataclass(frozen=True, slots=True)
class Postprocessing:
    """Steps for the classes that have any, by the name of the class."""

    steps: Mapping[str, Step]

    def __call__(
        self, labels: NDArray[np.uint8], names: Sequence[str], spacing_mm: Sequence[float]
    ) -> NDArray[np.uint8]:
        """(*S) labels to mended ones; `names` in the order of their indices."""
        mended = labels
        for index, name in enumerate(names):
            if index and self.steps.get(name, Step()) != Step():
                mended = mended.copy() if mended is labels else mended
                mend(mended, index, self.steps[name], spacing_mm)
        return mended

    def as_dict(self) -> dict[str, Any]:
        return {name: asdict(step) for name, step in self.steps.items()}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "Postprocessing":
        return cls({name: Step(**step) for name, step in held.items()})


def mend(labels: NDArray[np.uint8], index: int, step: Step, spacing_mm: Sequence[float]) -> None:
    """Do one class of (*S) labels, in place. Only its surroundings are looked at."""
    [box] = ndimage.find_objects((labels == index).astype(np.uint8)) or [None]
    if box is None:
        return
    here = labels[box]
    mask = here == index
    if step.largest or step.at_least:
        parts, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        sizes[0] = 0
        keep = sizes * unit(spacing_mm) >= step.at_least
        if step.largest:
            keep &= np.arange(count + 1) == sizes.argmax()
        keep[0] = False
        here[mask & ~keep[parts]] = 0
        mask = keep[parts]
    if step.fill:
        here[ndimage.binary_fill_holes(mask) & (here == 0)] = index


def unit(spacing_mm: Sequence[float]) -> float:
    """mL of a voxel; in images, one pixel."""
    return float(np.prod(spacing_mm)) / 1000 if len(spacing_mm) == 3 else 1.0
