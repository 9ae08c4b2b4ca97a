"""A comparison on the console."""

from collections.abc import Iterator, Sequence
from math import isnan
from string import ascii_uppercase

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from medlight.compare.comparison import Comparison
from medlight.compare.cost import COST_METRICS
from medlight.compare.formatting import (
    DASH,
    class_label,
    conclusion,
    describe_variance,
    format_interval,
    format_number,
    format_p_value,
    metric_title,
    verdict,
)
from medlight.compare.paired import PairedResult

SHOWN = {"changes": 5, "differences": 12}
MAX_NAME_LENGTH = 16
WRAPPED_COLUMNS = ("mean", "against reference", "case", "setting")
COLOURS = {"better": "green", "worse": "red", "not told apart": "dim"}


def show(comparison: Comparison, console: Console) -> None:
    for part in _parts(comparison):
        console.print(part)


def _parts(comparison: Comparison) -> Iterator[RenderableType]:
    patients = len(set(comparison.patients))
    yield Text.assemble(
        (f"{len(comparison.cases)} test cases of {patients} patients. ", ""),
        (f"Reference: {comparison.reference.name}", "bold"),
    )
    for skipped in comparison.skipped:
        yield Text(f"left out: {skipped.path}: {skipped.reason}", style="yellow")
    names = display_names(comparison)
    for group in comparison.groups:
        said = f"{group.name}, {group.describe_repeats()}" if len(group.runs) > 1 else group.name
        yield Text(f"  {names[group.name]}: {said}" if names[group.name] != group.name else said)
    if comparison.config_differences:
        yield differences_table(comparison)
    for metric in comparison.metrics:
        yield scores_table(comparison, metric)
    lines = [Text(conclusion(c)) for c in comparison.results if _is_main_result(comparison, c)]
    yield Group(*lines)
    if len(comparison.groups) > 1:
        yield rank_table(comparison)
        yield changes_table(comparison)
    if any(len(group.runs) > 1 for group in comparison.groups):
        for group in comparison.groups:
            components = comparison.variance[group.name]
            yield Text(
                f"{group.name} ({group.describe_repeats()}): "
                f"{describe_variance(components, comparison.metric)}."
            )
    yield cost_table(comparison)


def _is_main_result(comparison: Comparison, result: PairedResult) -> bool:
    """Of the main metric, over all its classes."""
    return result.key == (comparison.metric, comparison.classes(comparison.metric)[-1])


def _table(head: str, columns: Sequence[str], *, left: int = 1) -> Table:
    table = Table(title=head, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for i, name in enumerate(columns):
        wraps = " (" in name or name in WRAPPED_COLUMNS
        table.add_column(
            name, justify="left" if i < left else "right", overflow="fold", no_wrap=not wraps
        )
    return table


def display_names(comparison: Comparison) -> dict[str, str]:
    """What a run is called in tables: its name, or a letter where names are long."""
    names = [group.name for group in comparison.groups]
    if max(map(len, names)) <= MAX_NAME_LENGTH:
        return {name: name for name in names}
    letters = [a + b for a in ["", *ascii_uppercase] for b in ascii_uppercase]
    return dict(zip(names, letters, strict=False))


def scores_table(comparison: Comparison, metric: str) -> Table:
    rivals = len(comparison.groups) > 1
    how = "area and 95 % interval by DeLong" if metric == "auroc" else "mean and 95 % interval"
    named = f"{metric_title(metric)}: {how} by patient"
    columns = ["class", "run", "mean"]
    if rivals:
        columns += ["against reference", "p", "effect", "+/=/-"]
    table, names = _table(named, columns, left=2), display_names(comparison)
    results = {(c.group, c.key): c for c in comparison.results}
    for name in comparison.classes(metric):
        key = (metric, name)
        for group in comparison.groups:
            row = [
                class_label(key),
                names[group.name],
                format_interval(comparison.scores[group.name][key], metric),
            ]
            result = results.get((group.name, key))
            if result is None:
                table.add_row(*row)
                continue
            counts = f"{result.wins}/{result.ties}/{result.losses}"
            row += [
                format_interval(result.difference, metric, signed=True),
                format_p_value(result.adjusted),
                DASH if isnan(result.test.effect) else f"{result.test.effect:+.2f}",
                DASH if result.test.name == "DeLong" else counts,
            ]
            table.add_row(*row[:3], Text(row[3], COLOURS[verdict(result)]), *row[4:])
        table.add_section()
    tests = dict.fromkeys(c.test.name for c in comparison.results if c.key[0] == metric)
    if tests:
        table.caption = (
            f"paired by case; p: {', '.join(tests)} with Holm's correction; effect: rank-biserial"
            f" correlation; +/=/-: cases better, same, worse"
        )
        table.caption_justify = "left"
    return table


def differences_table(comparison: Comparison) -> Table:
    table = _table("What differs", ["setting", *display_names(comparison).values()])
    for name, values in comparison.config_differences[: SHOWN["differences"]]:
        table.add_row(name, *values)
    if (more := len(comparison.config_differences) - SHOWN["differences"]) > 0:
        table.caption = f"and {more} more: see the page"
    return table


def rank_table(comparison: Comparison) -> Table:
    table = _table(
        f"Order by {metric_title(comparison.metric)}, if other patients had come",
        ["run", "place", "first in", "95 % of places"],
    )
    order = sorted(
        zip(comparison.ranks, comparison.groups, strict=False), key=lambda pair: pair[0].rank
    )
    for rank, group in order:
        table.add_row(
            display_names(comparison)[group.name],
            str(rank.rank),
            f"{rank.p_first:.0%}",
            f"{rank.low} to {rank.high}",
        )
    return table


def changes_table(comparison: Comparison) -> Table:
    table = _table(
        f"Cases that moved most ({metric_title(comparison.metric)})",
        ["run", "case", "reference", "here"],
        left=2,
    )
    for name, cases in comparison.changes.items():
        for case in cases[: SHOWN["changes"]]:
            values = (format_number(v, comparison.metric) for v in (case.reference, case.contender))
            table.add_row(display_names(comparison)[name], case.case, *values)
        table.add_section()
    return table


def cost_table(comparison: Comparison) -> Table:
    heads = [f"{p.title} ({p.unit})" if p.unit else p.title for p in COST_METRICS.values()]
    table = _table("Cost", ["run", *heads])
    for group in comparison.groups:
        costs = comparison.costs[group.name].values()
        shown = (DASH if isnan(c) else f"{c:,.0f}" if c >= 100 else f"{c:.3g}" for c in costs)
        table.add_row(display_names(comparison)[group.name], *shown)
    return table
