"""What is odd about the images of a prediction: one line for each kind, with the first of them."""

import logging

from medlight.core.data_spec import DataSpec
from medlight.core.sample import Sample

log = logging.getLogger(__name__)

MAX_SPACING_RATIO = 1.5
MAX_BRIGHTNESS_RATIO = 8.0


class InputWarnings:
    """Looks at images as a net sees them, and says in the end which are not like the training's.

    Args:
        spec: of the run.
    """

    def __init__(self, spec: DataSpec) -> None:
        self._spec = spec
        self._found: dict[str, list[str]] = {}  # what is odd to cases, with the number that is

    def look(self, case: str, sample: Sample) -> None:
        """Note what is odd about a case.

        Args:
            case: its name.
            sample: its image, with `grid` and `source_grid`.
        """
        for caveat in sample["source_grid"].caveats:
            self._found.setdefault(caveat, []).append(case)
        low, high = self._spec.spacing_low_mm, self._spec.spacing_high_mm
        spacing = sample["grid"].spacing_mm[-len(low) :]  # of slices, within them
        if low and self._spec.image_dims == 3 and any(
            not a / MAX_SPACING_RATIO <= size <= b * MAX_SPACING_RATIO
            for a, size, b in zip(low, spacing, high, strict=True)
        ):  # fmt: skip
            trained = _mm(low) if low == high else f"{_mm(low)} to {_mm(high)}"
            self._found.setdefault(
                f"its voxel size is far from those of the training, {trained}; resample it, or "
                f"train with transforms.spacing_mm",
                [],
            ).append(f"{case} ({_mm(spacing)})")
        if self._spec.brightest:
            darkest, brightest = self._spec.brightest
            largest = float(sample["image"].max())
            if (darkest > 0 and largest * MAX_BRIGHTNESS_RATIO < darkest) or (
                0 < brightest * MAX_BRIGHTNESS_RATIO < largest
            ):
                self._found.setdefault(
                    f"its largest value is far from those of the training, {darkest:.3g} to "
                    f"{brightest:.3g} as the net sees them; are its numbers scaled otherwise?",
                    [],
                ).append(f"{case} ({largest:.3g})")

    def report(self) -> None:
        """Log a line for each kind."""
        for what, cases in self._found.items():
            more = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
            log.warning("%s%s: %s", cases[0], more, what)


def _mm(spacing: tuple[float, ...]) -> str:
    return " x ".join(f"{size:.3g}" for size in spacing) + " mm"
