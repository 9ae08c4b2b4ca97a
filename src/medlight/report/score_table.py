"""The table that a test prints, at most 100 columns wide, with the cases behind each number."""

import math
from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from medlight.core.outcome import OutcomeSpec
from medlight.metrics.bootstrap import Interval
from medlight.report.console_table import fold

EN_DASH = "\N{EN DASH}"
MAX_WIDTH = 100
COLUMN_WIDTH, MAX_NAME_WIDTH = 13, 20
"""Characters of a column, and those of a class that stand on one line."""


def score_table(
    spec: OutcomeSpec,
    scores: Mapping[str, float],
    intervals: Mapping[str, Interval] | None = None,
    *,
    title: str = "Test",
    width: int = MAX_WIDTH,
) -> Table:
    """One line a class and one for all, from names `<metric>` and `<metric>/<class>`.

    The spec says which metrics to show, the first ones also if there is little room; metrics.json
    holds the others.
    Below each number stands its 95 % interval. A metric of all classes together (accuracy) stands
    above the table, the policy below it; of a task without classes, all metrics are in the table.
    """
    known = intervals or {}
    split = {name: name.partition("/")[::2] for name in scores}
    classes = dict.fromkeys(label for _, label in split.values() if label)
    with_classes = {metric for metric, label in split.values() if label}
    alone = [name for name in spec.metrics if name in scores and name not in with_classes]
    if not classes:
        alone, with_classes = [], set(alone)
    columns = [metric for metric in spec.shown or spec.metrics if metric in with_classes]
    width = min(width, MAX_WIDTH)
    first = min(MAX_NAME_WIDTH, max(map(len, ("class", *classes)))) + 3
    columns = columns[: max(1, (width - first - COLUMN_WIDTH) // COLUMN_WIDTH)]
    head = ", ".join(
        f"{spec.metrics[name].title} {format_score(scores[name])}"
        f"{_format_interval(known.get(name))}"
        for name in alone
    )
    table = Table(
        title=f"{title}: {head}" if head else title,
        title_justify="left",
        caption=_caption(spec.policy, intervals is not None),
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        width=width,
    )
    table.add_column("class", ratio=1)
    for metric in columns:
        words = spec.metrics[metric].title.replace(" error", "\nerror").replace(" at ", "\nat ")
        unit = spec.metrics[metric].unit
        table.add_column(f"{words}\n{unit}" if unit else words, justify="right")
    table.add_column("cases", justify="right")
    for label in classes:
        cells = [_cell(f"{metric}/{label}", scores, known) for metric in columns]
        table.add_row(fold(label, first - 3), *cells, _cases(scores, label))
    table.add_section()
    whole = str(scores["cases"]) if "cases" in scores else EN_DASH
    table.add_row("all", *(_cell(metric, scores, known) for metric in columns), whole, style="bold")
    return table


def format_score(value: float | None) -> str:
    """Four digits after the point, fewer for large numbers, none for a count; a dash for nothing.

    >>> format_score(0.91234), format_score(31.4159), format_score(1234), format_score(math.nan)
    ('0.9123', '31.42', '1,234', '–')
    """
    if value is None or math.isnan(value):
        return EN_DASH
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:z.4f}" if abs(value) < 10 else f"{value:.2f}"


def _cell(name: str, scores: Mapping[str, float], known: Mapping[str, Interval]) -> Text:
    text = Text(format_score(scores.get(name)))
    found = known.get(name)
    if found is not None and not math.isnan(found.low):
        text.append(
            f"\n{_format_bound(found.low)}{EN_DASH}{_format_bound(found.high)}",
            style="not bold dim",
        )
    return text


def _format_bound(value: float) -> str:
    return f"{value:z.3f}" if abs(value) < 10 else f"{value:.1f}"


def _format_interval(found: Interval | None) -> str:
    if found is None or math.isnan(found.low):
        return ""
    return f" ({_format_bound(found.low)}{EN_DASH}{_format_bound(found.high)})"


def _cases(scores: Mapping[str, float], label: str) -> Text:
    """How many cases a row rests on, and below it what became of the others."""
    text = Text(format_score(scores.get(f"cases/{label}")))
    words = {"not_scored": "left out", "false_negatives": "missed", "false_positives": "false"}
    for count, word in words.items():
        if number := scores.get(f"{count}/{label}"):
            text.append(f"\n{number:,} {word}", style="dim")
    return text


def _caption(policy: str, with_intervals: bool) -> str:
    below = "below: 95 % bootstrap intervals by patient" if with_intervals else ""
    return "\n".join(part for part in (policy, below) if part)
