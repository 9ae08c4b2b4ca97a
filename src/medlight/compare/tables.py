"""A comparison on the console."""

from collections.abc import Iterator, Sequence
from math import isnan
from string import ascii_uppercase

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from medlight.compare.claims import Claim
from medlight.compare.comparison import Comparison
from medlight.compare.cost import PRICES
from medlight.compare.words import (
    NOTHING,
    chance,
    label,
    number,
    sentence,
    span,
    spread_in_words,
    title,
    verdict,
)

SHOWN = {"moved": 5, "differences": 12}
LONG = 16
FOLDED = ("mean", "against reference", "case", "setting")
COLOURS = {"better": "green", "worse": "red", "not told apart": "dim"}


def show(comparison: Comparison, console: Console) -> None:
    for part in _parts(comparison):
        console.print(part)


def _parts(found: Comparison) -> Iterator[RenderableType]:
    patients = len(set(found.patients))
    yield Text.assemble(
        (f"{len(found.cases)} test cases of {patients} patients. ", ""),
        (f"Reference: {found.reference.name}", "bold"),
    )
    for skipped in found.skipped:
        yield Text(f"left out: {skipped.path}: {skipped.reason}", style="yellow")
    names = called(found)
    for group in found.groups:
        said = f"{group.name}, {group.repeats()}" if len(group.runs) > 1 else group.name
        yield Text(f"  {names[group.name]}: {said}" if names[group.name] != group.name else said)
    if found.differences:
        yield differing(found)
    for metric in found.metrics:
        yield scores(found, metric)
    lines = [Text(sentence(c)) for c in found.claims if _tells(found, c)]
    yield Group(*lines)
    if len(found.groups) > 1:
        yield standing(found)
        yield moved(found)
    if any(len(group.runs) > 1 for group in found.groups):
        for group in found.groups:
            split = found.spread[group.name]
            yield Text(f"{group.name} ({group.repeats()}): {spread_in_words(split, found.metric)}.")
    yield prices(found)


def _tells(found: Comparison, claim: Claim) -> bool:
    """Of the main metric, over all its classes."""
    return claim.key == (found.metric, found.classes(found.metric)[-1])


def _table(head: str, columns: Sequence[str], *, left: int = 1) -> Table:
    table = Table(title=head, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for i, name in enumerate(columns):
        wraps = " (" in name or name in FOLDED
        table.add_column(
            name, justify="left" if i < left else "right", overflow="fold", no_wrap=not wraps
        )
    return table


def called(found: Comparison) -> dict[str, str]:
    """What a run is called in tables: its name, or a letter where names are long."""
    names = [group.name for group in found.groups]
    if max(map(len, names)) <= LONG:
        return {name: name for name in names}
    letters = [a + b for a in ["", *ascii_uppercase] for b in ascii_uppercase]
    return dict(zip(names, letters, strict=False))


def scores(found: Comparison, metric: str) -> Table:
    rivals = len(found.groups) > 1
    how = "area and 95 % interval by DeLong" if metric == "auroc" else "mean and 95 % interval"
    named = f"{title(metric)}: {how} by patient"
    columns = ["class", "run", "mean"]
    if rivals:
        columns += ["against reference", "p", "effect", "+/=/-"]
    table, names = _table(named, columns, left=2), called(found)
    claims = {(c.group, c.key): c for c in found.claims}
    for name in found.classes(metric):
        key = (metric, name)
        for group in found.groups:
            row = [label(key), names[group.name], span(found.scores[group.name][key], metric)]
            claim = claims.get((group.name, key))
            if claim is None:
                table.add_row(*row)
                continue
            counts = f"{claim.wins}/{claim.ties}/{claim.losses}"
            row += [
                span(claim.difference, metric, signed=True),
                chance(claim.adjusted),
                NOTHING if isnan(claim.test.effect) else f"{claim.test.effect:+.2f}",
                NOTHING if claim.test.name == "DeLong" else counts,
            ]
            table.add_row(*row[:3], Text(row[3], COLOURS[verdict(claim)]), *row[4:])
        table.add_section()
    tests = dict.fromkeys(c.test.name for c in found.claims if c.key[0] == metric)
    if tests:
        table.caption = (
            f"paired by case; p: {', '.join(tests)} with Holm's correction; effect: rank-biserial"
            f" correlation; +/=/-: cases better, same, worse"
        )
        table.caption_justify = "left"
    return table


def differing(found: Comparison) -> Table:
    table = _table("What differs", ["setting", *called(found).values()])
    for name, values in found.differences[: SHOWN["differences"]]:
        table.add_row(name, *values)
    if (more := len(found.differences) - SHOWN["differences"]) > 0:
        table.caption = f"and {more} more: see the page"
    return table


def standing(found: Comparison) -> Table:
    table = _table(
        f"Order by {title(found.metric)}, if other patients had come",
        ["run", "place", "first in", "95 % of places"],
    )
    order = sorted(zip(found.ranks, found.groups, strict=False), key=lambda pair: pair[0].place)
    for rank, group in order:
        table.add_row(
            called(found)[group.name],
            str(rank.place),
            f"{rank.first:.0%}",
            f"{rank.low} to {rank.high}",
        )
    return table


def moved(found: Comparison) -> Table:
    table = _table(
        f"Cases that moved most ({title(found.metric)})",
        ["run", "case", "reference", "here"],
        left=2,
    )
    for name, cases in found.moved.items():
        for case in cases[: SHOWN["moved"]]:
            values = (number(v, found.metric) for v in (case.reference, case.contender))
            table.add_row(called(found)[name], case.case, *values)
        table.add_section()
    return table


def prices(found: Comparison) -> Table:
    heads = [f"{p.title} ({p.unit})" if p.unit else p.title for p in PRICES.values()]
    table = _table("Cost", ["run", *heads])
    for group in found.groups:
        costs = found.costs[group.name].values()
        shown = (NOTHING if isnan(c) else f"{c:,.0f}" if c >= 100 else f"{c:.3g}" for c in costs)
        table.add_row(called(found)[group.name], *shown)
    return table
