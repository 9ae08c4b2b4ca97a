"""What images hold: numbers that are none, one number only, other types and scales, outliers."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from medlight.audit.caveats import channel_issues
from medlight.audit.file_scan import FileInfo
from medlight.audit.issues import Issue, exclude_hint, shorten
from medlight.core.case import is_mask_role
from medlight.core.index import Index

OUTLIER_Z = 6.0
"""Robust z-score of an outlier."""
MAX_OUTLIER_FRACTION = 0.05
"""Share of the cases up to which those far out are outliers; beyond, the data vary."""
MAX_SCALE_RATIO = 10.0


def value_issues(index: Index, file_infos: Sequence[FileInfo]) -> Iterator[Issue]:
    """Findings on the usable images of `file_infos`."""
    images = [info for info in file_infos if info.readable and not is_mask_role(info.role)]
    yield from _not_finite(index, images)
    constant = [info for info in images if info.constant and not info.n_nonfinite]
    if constant:
        cases = tuple(index.ids[info.row] for info in constant)
        yield Issue(
            "warning",
            "constant",
            f"{len(cases)} images hold one value only: "
            + shorten([f"{info.path} (all {info.minimum:g})" for info in constant], 3),
            f"nothing can be learnt from them; {exclude_hint(cases, 'constant')}",
            cases,
        )
    for role in dict.fromkeys(info.role for info in images):
        of_role = [info for info in images if info.role == role]
        yield from _types(index, role, of_role)
        yield from _scales(index, role, of_role)
        yield from _outliers(index, role, of_role)


def _not_finite(index: Index, images: Sequence[FileInfo]) -> Iterator[Issue]:
    for info in images:
        if info.n_nonfinite:
            case = index.ids[info.row]
            yield Issue(
                "error",
                "nonfinite",
                f"{info.path}: {info.n_nonfinite} values are nan or infinite",
                "fix=true writes a copy with the image's lowest value there, or "
                + exclude_hint([case], "nonfinite"),
                (case,),
                repairable=True,
            )


def _types(index: Index, role: str, file_infos: Sequence[FileInfo]) -> Iterator[Issue]:
    yield from channel_issues(
        role, [(index.ids[info.row], info.path, info.channels) for info in file_infos]
    )
    yield from dtype_issues(
        index,
        file_infos,
        "often a sign of different scanners or exports: see whether their intensities agree",
    )


def dtype_issues(index: Index, file_infos: Sequence[FileInfo], advice: str) -> Iterator[Issue]:
    """Files of one role that are stored as different types."""
    types = Counter(info.dtype_name for info in file_infos)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        yield Issue(
            "warning",
            "dtype",
            f"{file_infos[0].role}s are stored as different types: {_counts(types)}",
            advice,
            tuple(index.ids[info.row] for info in file_infos if info.dtype_name != usual),
        )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} ({n})" for name, n in counter.most_common())


def _scales(index: Index, role: str, file_infos: Sequence[FileInfo]) -> Iterator[Issue]:
    widths = np.array(
        [info.maximum - info.minimum for info in file_infos if info.maximum > info.minimum]
    )
    if len(widths) < 2:
        return
    low, middle, high = np.percentile(widths, [5, 50, 95])
    if high > MAX_SCALE_RATIO * low:
        tops = [info.maximum for info in file_infos]
        yield Issue(
            "warning",
            "scales",
            f"{role}s differ in intensity scale: between lowest and highest value lie {low:.3g} to "
            f"{high:.3g} (5th to 95th percentile; median {middle:.3g}), maxima reach from "
            f"{min(tops):.4g} to {max(tops):.4g}",
            "intensities have no common unit here: normalise each image by itself, as the shipped "
            "presets do for MR",
        )


Measure = Callable[[FileInfo], float | None]


def _spacing(axis: int) -> Measure:
    def measure(info: FileInfo) -> float | None:
        spacing = info.grid.spacing_mm if info.grid and info.grid.ndim > axis else ()
        return math.log(spacing[axis]) if len(spacing) > axis and spacing[axis] > 0 else None

    return measure


def _size(axis: int) -> Measure:
    def measure(info: FileInfo) -> float | None:
        return math.log(info.grid.shape[axis]) if info.grid and info.grid.ndim > axis else None

    return measure


MEASURES: tuple[tuple[str, str, Measure, float], ...] = (
    *((f"size of axis {axis}", "size", _size(axis), 0.05) for axis in range(3)),
    *((f"spacing of axis {axis}", "spacing", _spacing(axis), 0.02) for axis in range(3)),
    ("mean intensity", "intensity", lambda info: info.mean, 0.0),
    ("spread of intensities", "intensity", lambda info: info.std, 0.0),
)
"""Name, kind, value (a logarithm where ratios matter), and the smallest deviation that counts."""


def _outliers(index: Index, role: str, file_infos: Sequence[FileInfo]) -> Iterator[Issue]:
    file_infos = [info for info in file_infos if not info.constant]
    for name, kind, measure, min_deviation in MEASURES:
        values = np.array([_or_nan(measure(info)) for info in file_infos])
        z = robust_z(values, min_deviation)
        far = np.flatnonzero(np.abs(z) > OUTLIER_Z)
        if not 0 < len(far) <= max(1, MAX_OUTLIER_FRACTION * len(file_infos)):
            continue
        far = far[np.argsort(-np.abs(z[far]), kind="stable")]
        cases = tuple(index.ids[file_infos[k].row] for k in far)
        logs = kind != "intensity"
        shown = np.exp(values) if logs else values
        yield Issue(
            "note",
            f"outlier in {kind}",
            f"{name} of {len(cases)} {role}s is far from the others' (median "
            f"{np.nanmedian(shown):.4g}): "
            + shorten([f"{file_infos[k].path} ({shown[k]:.4g})" for k in far], 3),
            "look at them in the page; nothing need be wrong",
            cases,
        )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def robust_z(values: NDArray[np.float64], min_deviation: float = 0.0) -> NDArray[np.float64]:
    """Measure distances from the median in deviations, by the median absolute deviation.

    Args:
        values: (N,), nan where unknown.
        min_deviation: smallest deviation assumed, for when most values are the same.

    Returns:
        (N,), 0 for nan; all 0 below five known values.
    """
    known = np.isfinite(values)
    if np.count_nonzero(known) < 5:
        return np.zeros(len(values))
    median = np.median(values[known])
    std = max(1.4826 * float(np.median(np.abs(values[known] - median))), min_deviation)
    if std == 0:
        return np.zeros(len(values))
    return np.where(known, (np.nan_to_num(values) - median) / std, 0.0)
