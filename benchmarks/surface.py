"""HD95, ASSD and NSD of a pair of masks: ours against MONAI's three metrics.

Borders are found once for all three, and only pieces that differ look for their nearest
neighbour. MONAI measures to the same masks by another definition of a border (see
docs/metrics.md), so times are compared, not numbers.
"""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from harness import Report, interleaved
from monai import metrics as monai
from numpy.typing import NDArray

from medlight.metrics.surface import surface_distances

SIZE = 256
SPACING_MM = (1.0, 0.8, 0.8)
TOLERANCE_MM = 2.0


def ellipsoid(radii: tuple[float, ...], moved: tuple[float, ...] = (0, 0, 0)) -> NDArray[np.bool_]:
    place = np.indices((SIZE,) * 3, np.float32) - SIZE / 2
    scaled = [(p - m) / r for p, m, r in zip(place, moved, radii, strict=True)]
    return sum(axis**2 for axis in scaled) < 1  # type: ignore[return-value]


def ours(prediction: NDArray[np.bool_], reference: NDArray[np.bool_]) -> Callable[[], object]:
    def measure() -> object:
        found = surface_distances(prediction, reference, SPACING_MM)
        return found.hd95_mm, found.assd_mm, found.nsd(TOLERANCE_MM)

    return measure


def theirs(prediction: NDArray[np.bool_], reference: NDArray[np.bool_]) -> Callable[[], object]:
    pair = [torch.from_numpy(mask)[None, None] for mask in (prediction, reference)]

    same = {"include_background": True, "spacing": list(SPACING_MM)}

    def measure() -> object:
        return (
            monai.compute_hausdorff_distance(*pair, percentile=95, **same),
            monai.compute_average_surface_distance(*pair, symmetric=True, **same),
            monai.compute_surface_dice(*pair, class_thresholds=[TOLERANCE_MM], **same),
        )

    return measure


def main() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    pairs = {
        "an organ, well segmented": (
            ellipsoid((80, 72, 60), (1, 0, 0)), ellipsoid((79, 73, 61)),
        ),
        "an organ, badly segmented": (
            ellipsoid((60, 72, 60), (15, -9, 4)), ellipsoid((79, 73, 61)),
        ),
        "a lesion": (ellipsoid((9, 8, 8), (1, 0, 0)), ellipsoid((9, 9, 7))),
    }  # fmt: skip
    report = Report("surface")
    for what, pair in pairs.items():
        sides = {f"medlight, {what}": ours(*pair), f"MONAI, {what}": theirs(*pair)}
        timings = interleaved(sides, rounds=3)
        report.add_timings(timings)
        fast, slow = sides
        report.add_ratio(f"MONAI / medlight, {what}", timings, slow, fast, wanted=">= 3")
    report.finish()


if __name__ == "__main__":
    main()
