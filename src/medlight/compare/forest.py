"""A forest plot: the difference of each run to the reference, with its interval, as inline SVG."""

import math
from collections.abc import Sequence
from html import escape

from medlight.compare.formatting import format_interval, verdict
from medlight.compare.paired import PairedResult
from medlight.report.console_table import shorten

WIDTH, ROW, TOP, AXIS = 1080, 30, 12, 48
LEFT, RIGHT = 330, 330
"""Pixels for the names of runs, and for numbers and verdicts."""
MAX_NAME_LENGTH = 44
SIGNS = {"better": "▲ ", "worse": "▼ "}


def forest_plot(results: Sequence[PairedResult], reference: str) -> str:
    """Draw one row for each result: name, interval around its mean, numbers and verdict.

    Args:
        results: of one score, one for each contender.
        reference: the run that they are compared with.

    Returns:
        An <svg> element; what it shows is its text alternative, too.
    """
    ends = [_bounds(result) for result in results]
    low, high = (
        pick([0.0, *values])
        for pick, values in zip((min, max), zip(*ends, strict=True), strict=True)
    )
    margin = 0.08 * (high - low or 1.0)
    low, high = low - margin, high + margin
    height = TOP + ROW * len(results) + AXIS
    bottom = TOP + ROW * len(results)

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    title = f"{results[0].metric.long_title}: difference to {reference}, 95 % intervals"
    told = [f"{each.group}: {_numbers(each)}, {verdict(each)}" for each in results]
    parts = [
        f"<svg class='chart forest' viewBox='0 0 {WIDTH} {height}' role=img "
        f"aria-labelledby='forest-title forest-text'>",
        f"<title id=forest-title>{escape(title)}</title>",
        f"<desc id=forest-text>{escape('; '.join(told))}</desc>",
        f"<line class=axis x1='{x(0):.1f}' x2='{x(0):.1f}' y1='0' y2='{bottom}'/>",
    ]
    for value in _ticks(low, high):
        parts += [
            f"<line class=grid x1='{x(value):.1f}' x2='{x(value):.1f}' y1='0' y2='{bottom}'/>",
            f"<text x='{x(value):.1f}' y='{bottom + 18}' text-anchor=middle>{value:+g}</text>"
            if value
            else f"<text x='{x(0):.1f}' y='{bottom + 18}' text-anchor=middle>0</text>",
        ]
    parts.append(
        f"<text x='{(LEFT + WIDTH - RIGHT) / 2}' y='{bottom + 40}' text-anchor=middle>"
        f"{escape(shorten(title, 100))}</text>"
    )
    for number, (result, (start, end)) in enumerate(zip(results, ends, strict=True)):
        y, said = TOP + ROW * (number + 0.5), verdict(result)
        mean = result.difference.mean
        name = escape(shorten(result.group, MAX_NAME_LENGTH))
        parts.append(f"<g class='{said}'><text x='0' y='{y + 4}'>{name}</text>")
        if not math.isnan(mean):
            parts.append(
                f"<line x1='{x(start):.1f}' x2='{x(end):.1f}' y1='{y}' y2='{y}'/>"
                f"<circle cx='{x(mean):.1f}' cy='{y}' r='5'/>"
            )
        parts.append(
            f"<text x='{WIDTH - RIGHT + 16}' y='{y + 4}'>{escape(_numbers(result))}</text>"
            f"<text class=verdict x='{WIDTH - 96}' y='{y + 4}'>{SIGNS.get(said, '')}{said}</text>"
            f"</g>"
        )
    return "".join([*parts, "</svg>"])


def _numbers(result: PairedResult) -> str:
    return format_interval(result.difference, result.metric, signed=True)


def _bounds(result: PairedResult) -> tuple[float, float]:
    """The ends of an interval; the mean, or 0, stands for those that are not known."""
    found = result.difference
    middle = 0.0 if math.isnan(found.mean) else found.mean
    return (
        middle if math.isnan(found.low) else found.low,
        middle if math.isnan(found.high) else found.high,
    )


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{k * step:.10g}") for k in range(first, last + 1)]
