"""What images hold: numbers that are none, one number only, other types and scales, outliers."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from medlight.audit.facts import MASK, FileFacts
from medlight.audit.findings import Finding, leave_out, some
from medlight.core.index import Index

FAR = 6.0
"""Robust z-score of an outlier."""
FEW = 0.05
"""Share of the cases up to which those far out are outliers; beyond, the data vary."""
SCALES_APART = 10.0


def value_findings(index: Index, facts: Sequence[FileFacts]) -> Iterator[Finding]:
    """Findings on the usable images of `facts`."""
    images = [fact for fact in facts if fact.usable and fact.role != MASK]
    yield from _not_finite(index, images)
    constant = [fact for fact in images if fact.constant and not fact.nonfinite]
    if constant:
        cases = tuple(index.ids[fact.row] for fact in constant)
        yield Finding(
            "warning",
            "constant",
            f"{len(cases)} images hold one value only: "
            + some([f"{fact.path} (all {fact.low:g})" for fact in constant], 3),
            f"nothing can be learnt from them; {leave_out(cases, 'constant')}",
            cases,
        )
    for role in dict.fromkeys(fact.role for fact in images):
        of_role = [fact for fact in images if fact.role == role]
        yield from _types(index, role, of_role)
        yield from _scales(index, role, of_role)
        yield from _outliers(index, role, of_role)


def _not_finite(index: Index, images: Sequence[FileFacts]) -> Iterator[Finding]:
    for fact in images:
        if fact.nonfinite:
            case = index.ids[fact.row]
            yield Finding(
                "error",
                "nonfinite",
                f"{fact.path}: {fact.nonfinite} values are nan or infinite",
                "fix=true writes a copy with the image's lowest value there, or "
                + leave_out([case], "nonfinite"),
                (case,),
                repairable=True,
            )


def _types(index: Index, role: str, facts: Sequence[FileFacts]) -> Iterator[Finding]:
    channels = Counter(fact.channels for fact in facts)
    if len(channels) > 1:
        usual = channels.most_common(1)[0][0]
        odd = [fact for fact in facts if fact.channels != usual]
        cases = tuple(index.ids[fact.row] for fact in odd)
        yield Finding(
            "error",
            "channels",
            f"{role}s have different numbers of channels, {_counts(channels)}: "
            f"{some([fact.path for fact in odd], 3)}",
            f"a network takes one number of channels; {leave_out(cases, 'channels')}",
            cases,
        )
    types = Counter(fact.type_name for fact in facts)
    if len(types) > 1:
        usual_type = types.most_common(1)[0][0]
        cases = tuple(index.ids[f.row] for f in facts if f.type_name != usual_type)
        yield Finding(
            "warning",
            "dtype",
            f"{role}s are stored as different types: {_counts(types)}",
            "often a sign of different scanners or exports: see whether their intensities agree",
            cases,
        )


def _counts(counter: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{name} ({n})" for name, n in counter.most_common())


def _scales(index: Index, role: str, facts: Sequence[FileFacts]) -> Iterator[Finding]:
    widths = np.array([fact.high - fact.low for fact in facts if fact.high > fact.low])
    if len(widths) < 2:
        return
    low, middle, high = np.percentile(widths, [5, 50, 95])
    if high > SCALES_APART * low:
        tops = [fact.high for fact in facts]
        yield Finding(
            "warning",
            "scales",
            f"{role}s differ in intensity scale: between lowest and highest value lie {low:.3g} to "
            f"{high:.3g} (5th to 95th percentile; median {middle:.3g}), maxima reach from "
            f"{min(tops):.4g} to {max(tops):.4g}",
            "intensities have no common unit here: normalise each image by itself, as the shipped "
            "presets do for MR",
        )


Measure = Callable[[FileFacts], float | None]


def _spacing(axis: int) -> Measure:
    def measure(fact: FileFacts) -> float | None:
        spacing = fact.grid.spacing_mm if fact.grid and fact.grid.ndim > axis else ()
        return math.log(spacing[axis]) if len(spacing) > axis and spacing[axis] > 0 else None

    return measure


def _size(axis: int) -> Measure:
    def measure(fact: FileFacts) -> float | None:
        return math.log(fact.grid.shape[axis]) if fact.grid and fact.grid.ndim > axis else None

    return measure


MEASURES: tuple[tuple[str, str, Measure, float], ...] = (
    *((f"size of axis {axis}", "size", _size(axis), 0.05) for axis in range(3)),
    *((f"spacing of axis {axis}", "spacing", _spacing(axis), 0.02) for axis in range(3)),
    ("mean intensity", "intensity", lambda fact: fact.mean, 0.0),
    ("spread of intensities", "intensity", lambda fact: fact.deviation, 0.0),
)
"""Name, kind, value (a logarithm where ratios matter), and the smallest deviation that counts."""


def _outliers(index: Index, role: str, facts: Sequence[FileFacts]) -> Iterator[Finding]:
    facts = [fact for fact in facts if not fact.constant]
    for name, kind, measure, least in MEASURES:
        values = np.array([_or_nan(measure(fact)) for fact in facts])
        z = robust_z(values, least)
        far = np.flatnonzero(np.abs(z) > FAR)
        if not 0 < len(far) <= max(1, FEW * len(facts)):
            continue
        far = far[np.argsort(-np.abs(z[far]), kind="stable")]
        cases = tuple(index.ids[facts[k].row] for k in far)
        logs = kind != "intensity"
        shown = np.exp(values) if logs else values
        yield Finding(
            "note",
            f"outlier in {kind}",
            f"{name} of {len(cases)} {role}s is far from the others' (median "
            f"{np.nanmedian(shown):.4g}): "
            + some([f"{facts[k].path} ({shown[k]:.4g})" for k in far], 3),
            "look at them in the page; nothing need be wrong",
            cases,
        )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def robust_z(values: NDArray[np.float64], least: float = 0.0) -> NDArray[np.float64]:
    """Distance from the median in deviations, estimated by the median absolute deviation; 0 for
    nan. `least` is the smallest deviation assumed, where most values are the same."""
    known = np.isfinite(values)
    if np.count_nonzero(known) < 5:
        return np.zeros(len(values))
    median = np.median(values[known])
    deviation = max(1.4826 * float(np.median(np.abs(values[known] - median))), least)
    if deviation == 0:
        return np.zeros(len(values))
    return np.where(known, (np.nan_to_num(values) - median) / deviation, 0.0)
