"""A comparison on the console: the main metric, the verdict and the cost; or everything."""

from collections.abc import Iterator, Sequence
from math import isnan
from string import ascii_uppercase

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from medlight.compare.comparison import Comparison
from medlight.compare.cost import COST_METRICS
from medlight.compare.formatting import (
    BETTER,
    DASH,
    INCONCLUSIVE,
    WORSE,
    class_label,
    conclusion,
    describe_variance,
    format_interval,
    format_number,
    format_p_value,
    power_statement,
    verdict,
)
from medlight.compare.groups import Group
from medlight.compare.paired import PairedResult
from medlight.report.console_table import console_table, shorten

MAX_CHANGES, MAX_DIFFERENCES = 5, 12
"""Rows of the whole report; the page has all."""
MAX_GROUPS, MAX_SCORES, MAX_SKIPPED, MAX_CONCLUSIONS = 8, 28, 3, 2
"""Rows of the short report, which stays within 60 lines."""
MAX_NAME_LENGTH = 12
MAX_VALUES_SHOWN = 4
"""Groups whose settings fit beside each other."""
COLOURS = {BETTER: "green", WORSE: "red", INCONCLUSIVE: "dim"}


def show(comparison: Comparison, console: Console, metrics: Sequence[str] = ()) -> None:
    """Print a comparison.

    Args:
        comparison: what to print.
        console: where; its width is kept.
        metrics: whose scores; the main one's if empty. "all" stands for every metric, and for the
            tables that are on the page only otherwise.
    """
    whole = "all" in metrics
    shown = comparison.metrics if whole else list(metrics) or [comparison.metric]
    for part in _parts(comparison, console.width, shown, whole=whole):
        console.print(part, highlight=False)


def _parts(
    comparison: Comparison, width: int, metrics: Sequence[str], *, whole: bool
) -> Iterator[RenderableType]:
    groups = list(comparison.groups) if whole else best_groups(comparison)
    patients = len(set(comparison.patients))
    yield Text(f"{len(comparison.cases)} test cases of {patients} patients")
    yield from _skipped(comparison, None if whole else MAX_SKIPPED)
    names = display_names(comparison)
    for group in groups:
        repeats = f", {group.describe_repeats()}" if len(group.runs) > 1 else ""
        repeats += " (the reference)" if group is comparison.reference else ""
        letter = f"  {names[group.name]}: " if names[group.name] != group.name else "  "
        room = 10_000 if whole else width - len(letter) - len(repeats)
        yield Text(f"{letter}{shorten(group.name, room)}{repeats}")
    if more := len(comparison.groups) - len(groups):
        yield Text(f"  and {more} more, see the page", style="dim")
    if whole and comparison.config_differences:
        yield differences_table(comparison, width)
    for metric in metrics:
        yield scores_table(comparison, metric, groups, width=width)
    yield from _verdict(comparison, groups)
    if whole:
        yield from _stability(comparison, width)
    yield cost_table(comparison, groups, width)


def best_groups(comparison: Comparison) -> list[Group]:
    """The reference and those of the best ranks, in the order in which they were named. There are
    no ranks where no case has a score in all groups."""
    places = [each.rank for each in comparison.ranks] or range(len(comparison.groups))
    pairs = zip(places, comparison.groups, strict=True)
    order = sorted(pairs, key=lambda pair: (pair[1] is not comparison.reference, pair[0]))
    kept = {group.name for _, group in order[:MAX_GROUPS]}
    return [group for group in comparison.groups if group.name in kept]


def display_names(comparison: Comparison) -> dict[str, str]:
    """What a run is called in tables: its name, or a letter if names are long."""
    names = [group.name for group in comparison.groups]
    if max(map(len, names)) <= MAX_NAME_LENGTH:
        return {name: name for name in names}
    letters = [a + b for a in ["", *ascii_uppercase] for b in ascii_uppercase]
    return dict(zip(names, letters, strict=False))


def _skipped(comparison: Comparison, most: int | None) -> Iterator[Text]:
    for skipped in comparison.skipped[:most]:
        yield Text(f"left out: {skipped.path}: {skipped.reason}", style="yellow")
    if most is not None and (more := len(comparison.skipped) - most) > 0:
        yield Text(f"left out: {more} more, see the page", style="yellow")


def _verdict(comparison: Comparison, groups: Sequence[Group]) -> Iterator[Text]:
    """A sentence for each contender if they are few, else who is better and who is worse."""
    results = [result for result in comparison.results if _is_main_result(comparison, result)]
    if len(results) <= MAX_CONCLUSIONS:
        yield from (Text(conclusion(result)) for result in results)
        return
    names = display_names(comparison)
    listed = {group.name for group in groups}
    for said in (BETTER, WORSE, INCONCLUSIVE):
        those = [result for result in results if verdict(result) == said]
        some = [names[result.group] for result in those if result.group in listed]
        more = [f"{len(those) - len(some)} more"] if len(those) > len(some) else []
        if those:
            head = (
                said if said == INCONCLUSIVE else f"{said} than {names[comparison.reference.name]}"
            )
            yield Text(f"{head}: {', '.join([*some, *more])}", style=COLOURS[said])
    known = [result for result in results if not isnan(result.min_detectable)]
    yield Text(power_statement(max(known or results, key=lambda each: each.min_detectable)))


def _is_main_result(comparison: Comparison, result: PairedResult) -> bool:
    """Whether it is that of the main metric, over all its classes."""
    return result.key == (comparison.metric, comparison.classes(comparison.metric)[-1])


def scores_table(
    comparison: Comparison, metric: str, groups: Sequence[Group], *, width: int
) -> Table:
    """A row for each class and run; for all classes together if that is too many.

    Args:
        comparison: of the runs.
        metric: its name.
        groups: those to show.
        width: of the screen, in characters.
    """
    results = {(c.group, c.key): c for c in comparison.results}
    names = display_names(comparison)
    about = comparison.about(metric)
    tested = any(result.key[0] == metric for result in comparison.results)
    head = ["class", "run", "mean (95 %)"]
    if tested:
        head += ["difference (95 %)", "p", "verdict"]
    classes = comparison.classes(metric)
    fewer = len(groups) < len(comparison.groups) or len(classes) * len(groups) > MAX_SCORES
    rows: list[list[str | Text]] = []
    sections = []
    for name in classes[-1:] if fewer else classes:
        key = (metric, name)
        for number, group in enumerate(groups):
            mean = format_interval(comparison.scores[group.name][key], about, short=True)
            row: list[str | Text] = ["" if number else class_label(key), names[group.name], mean]
            result = results.get((group.name, key))
            rows.append([*row, *(_tested(result) if result else [""] * (len(head) - 3))])
        sections.append(len(rows) - 1)
    tests = dict.fromkeys(c.test.name for c in comparison.results if c.key[0] == metric)
    return console_table(
        f"{about.long_title}{', area by DeLong' if about.test == 'delong' else ''}",
        head,
        rows,
        width=width,
        text_columns=(0, 1),
        sections=sections if len(classes) < len(rows) else (),
        caption=f"paired by case, {', '.join(tests)} with Holm's correction" if tests else "",
    )


def _tested(result: PairedResult) -> list[str | Text]:
    said = verdict(result)
    return [
        format_interval(result.difference, result.metric, signed=True, short=True),
        format_p_value(result.adjusted),
        Text(said, COLOURS[said]),
    ]


def differences_table(comparison: Comparison, width: int) -> Table:
    names = list(display_names(comparison).values())[:MAX_VALUES_SHOWN]
    rows = [
        [name, *values[:MAX_VALUES_SHOWN]]
        for name, values in comparison.config_differences[:MAX_DIFFERENCES]
    ]
    more = len(comparison.config_differences) > len(rows) or len(comparison.groups) > len(names)
    return console_table(
        "What differs",
        ["setting", *names],
        rows,
        width=width,
        text_columns=range(len(names) + 1),
        caption="more of them on the page" if more else "",
    )


def _stability(comparison: Comparison, width: int) -> Iterator[RenderableType]:
    """What other patients, seeds and folds would change, and which cases changed most."""
    if len(comparison.groups) > 1:
        yield rank_table(comparison, width)
        yield changes_table(comparison, width)
    if any(len(group.runs) > 1 for group in comparison.groups):
        for group in comparison.groups:
            spread = describe_variance(comparison.variance[group.name], comparison.main)
            yield Text(f"{group.name} ({group.describe_repeats()}): {spread}.")


def rank_table(comparison: Comparison, width: int) -> Table:
    pairs = zip(comparison.ranks, comparison.groups, strict=True)
    names = display_names(comparison)
    return console_table(
        f"Rank stability by {comparison.main.long_title} (bootstrap over patients)",
        ["run", "rank", "first in", "95 % of ranks"],
        [
            [names[group.name], str(rank.rank), f"{rank.p_first:.0%}", f"{rank.low} to {rank.high}"]
            for rank, group in sorted(pairs, key=lambda pair: pair[0].rank)
        ],
        width=width,
    )


def changes_table(comparison: Comparison, width: int) -> Table:
    names = display_names(comparison)
    return console_table(
        f"Cases that changed most ({comparison.main.long_title})",
        ["run", "case", "reference", "here"],
        [
            [
                names[name],
                case.case,
                format_number(case.reference, comparison.main),
                format_number(case.contender, comparison.main),
            ]
            for name, cases in comparison.changes.items()
            for case in cases[:MAX_CHANGES]
        ],
        width=width,
        text_columns=(0, 1),
    )


def cost_table(comparison: Comparison, groups: Sequence[Group], width: int) -> Table:
    """A row for each run, and what it cost.

    Args:
        comparison: of the runs.
        groups: those to show.
        width: of the screen, in characters.
    """
    heads = [f"{p.title} {p.unit}" if p.unit else p.title for p in COST_METRICS.values()]
    names = display_names(comparison)
    rows = []
    for group in groups:
        values = comparison.costs[group.name].values()
        shown = (DASH if isnan(c) else f"{c:,.0f}" if c >= 100 else f"{c:.3g}" for c in values)
        rows.append([names[group.name], *shown])
    return console_table("Cost, mean of a run", ["run", *heads], rows, width=width)
