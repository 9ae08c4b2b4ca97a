"""A comparison as one page of HTML that works from a file, offline, with keys alone."""

import math
from collections.abc import Iterator, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from medlight.compare.claims import better, described
from medlight.compare.comparison import Comparison
from medlight.compare.cost import PRICES, pareto
from medlight.compare.look import Files, looks
from medlight.compare.runs import read_curves
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
from medlight.report.scripted import ScriptedPage

PAGE = "comparison.html"
MOST_LINES = 60
"""Curves and moved cases of more groups than this would be no picture."""


def save_page(found: Comparison, path: Path, files: Files = lambda case: {}) -> None:
    """Write the page; `files` finds what the viewer shows."""
    page(found, files).save(path)


def page(found: Comparison, files: Files = lambda case: {}) -> ScriptedPage:
    cases = looks(found, files)
    made = ScriptedPage(_title(found), style=_asset("page.css"))
    patients = len(set(found.patients))
    made.text(
        f"{len(found.cases)} test cases of {patients} patients. Reference: {found.reference.name}. "
        f"Intervals are 95 %, by bootstrap of patients; AUROC by DeLong. p values hold for all "
        f"classes and runs of a metric together (Holm)."
    )
    for each in found.skipped:
        made.item("warning", f"left out: {each.path}", each.reason, "Mend it, or leave it out.")
    made.data("data", _data(found, cases))
    if len(found.groups) > 1:
        made.heading("What may be said")
        for claim in (c for c in found.claims if c.key == _whole(found)):
            made.statement(verdict(claim), f"{claim.group}: {verdict(claim)}", sentence(claim))
    made.heading("Scores")
    for metric in found.metrics:
        made.sortable(title(metric), *_scores(found, metric))
    made.heading("Cases")
    if cases:
        names = ", ".join(found.reference.example.classes)
        made.text(f"Cases worth a look. Classes: {names}.")
        if any(case.get("image") or case.get("picture") for case in cases):
            made.text("Images are of patients: keep the page as you keep those.")
    else:
        made.text("No predictions or images were found for a closer look.")
    made.block("viewer", "Viewer")
    made.block("scatter", "Case by case")
    if len(found.groups) > 1:
        rows = [
            [name, m.case, number(m.reference, found.metric), number(m.contender, found.metric)]
            for name, moved in found.moved.items()
            for m in moved
        ]
        made.sortable(
            f"Moved most ({title(found.metric)})", ["run", "case", "reference", "here"], rows
        )
    made.heading("Training curves")
    made.block("curves", "Training curves")
    made.heading("Score and cost")
    made.block("pareto", "Score and cost")
    made.sortable("Cost, mean of a run", *_prices(found))
    if len(found.groups) > 1:
        made.heading("How firm is the order?")
        made.text(f"Places by {title(found.metric)} in draws of as many other patients.")
        made.sortable("", *_ranks(found))
    if any(len(group.runs) > 1 for group in found.groups):
        made.heading("Seeds and folds")
        for group in found.groups:
            made.text(f"{group.name} ({group.repeats()}): {_spread(found, group.name)}.")
    if found.differences:
        made.heading("What differs")
        columns = [group.name for group in found.groups]
        made.sortable("", ["setting", *columns], [[key, *v] for key, v in found.differences])
    made.heading("Runs")
    made.sortable("", ["run", "seed", "fold", "directory"], _runs(found))
    if any("image" in case for case in cases):
        made.details("Licence of the viewer, NiiVue", _vendored("niivue.LICENSE").splitlines())
        made.script(_vendored("niivue.umd.js"))
    made.script(_asset("page.js"))
    made.script(_asset("viewer.js"))
    return made


def _title(found: Comparison) -> str:
    others = len(found.groups) - 1
    against = f" against {others} other{'s' * (others > 1)}" if others else ""
    return f"{found.reference.name}{against}"


def _whole(found: Comparison) -> tuple[str, str]:
    return (found.metric, found.classes(found.metric)[-1])


def _scores(found: Comparison, metric: str) -> tuple[list[str], Iterator[list[str]]]:
    head = ["class", "run", "mean (95 % interval)", "cases"]
    if len(found.groups) > 1:
        head += ["difference (95 % interval)", "", "test", "p", "p (Holm)", "effect",
                 "better", "same", "worse", "detectable"]  # fmt: skip

    def rows() -> Iterator[list[str]]:
        claims = {(claim.group, claim.key): claim for claim in found.claims}
        for name in found.classes(metric):
            key = (metric, name)
            for group in found.groups:
                mean = found.scores[group.name][key]
                row = [label(key), group.name, _whole_line(span(mean, metric)), str(mean.n)]
                claim = claims.get((group.name, key))
                if claim is None:
                    yield row + [""] * (len(head) - len(row))
                    continue
                effect = claim.test.effect
                counts = (claim.wins, claim.ties, claim.losses)
                yield [
                    *row,
                    _whole_line(span(claim.difference, metric, signed=True)),
                    _whole_line(verdict(claim)),
                    claim.test.name,
                    chance(claim.test.p),
                    chance(claim.adjusted),
                    NOTHING if math.isnan(effect) else f"{effect:+.2f}",
                    *([NOTHING] * 3 if claim.test.name == "DeLong" else map(str, counts)),
                    NOTHING if math.isnan(claim.least) else f"{claim.least:.2g}",
                ]

    return head, rows()


def _whole_line(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _prices(found: Comparison) -> tuple[list[str], list[list[str]]]:
    head = ["run", *(f"{p.title} ({p.unit})" if p.unit else p.title for p in PRICES.values())]
    rows = []
    for group in found.groups:
        costs = found.costs[group.name].values()
        rows.append([group.name, *(NOTHING if math.isnan(c) else f"{c:,.4g}" for c in costs)])
    return head, rows


def _ranks(found: Comparison) -> tuple[list[str], list[list[str]]]:
    pairs = sorted(zip(found.ranks, found.groups, strict=False), key=lambda pair: pair[0].place)
    rows = [[g.name, str(r.place), f"{r.first:.1%}", f"{r.low} to {r.high}"] for r, g in pairs]
    return ["run", "place", "first in", "95 % of places"], rows


def _runs(found: Comparison) -> list[list[str]]:
    return [[g.name, run.seed, run.fold, str(run.path)] for g in found.groups for run in g.runs]


def _spread(found: Comparison, name: str) -> str:
    return spread_in_words(found.spread[name], found.metric)


def _data(found: Comparison, cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the scripts draw. Numbers have four digits, which is what a screen shows."""
    whole = _whole(found)
    means = [found.scores[group.name][whole].mean for group in found.groups]
    curves: dict[str, list[dict[str, Any]]] = {}
    for number_, group in enumerate(found.groups[:MOST_LINES]):
        for run in group.runs:
            for name, points in read_curves(run).items():
                line = {"group": number_, "name": f"{group.name}, seed {run.seed}, fold {run.fold}"}
                curves.setdefault(name, []).append(line | {"points": _finite(points)})
    costs = {}
    for name, price in PRICES.items():
        values = [found.costs[group.name][name] for group in found.groups]
        spent = values if price.less else [-value for value in values]
        costs[name] = {
            "title": f"{price.title} ({price.unit})" if price.unit else price.title,
            "values": [_short(value) for value in values],
            "front": pareto(means, spent, better=better(found.metric)),
        }
    return {
        "groups": [group.name for group in found.groups],
        "labels": list(found.reference.example.classes),
        "ids": list(found.cases),
        "title": title(found.metric),
        "curve": f"val/{found.metric}",
        "means": [_short(mean) for mean in means],
        "scores": {
            "|".join(key): {
                "title": f"{described(key[0]).title}, {label(key)}",
                "higher": better(key[0]) == "higher",
                "columns": [[_short(v) for v in column] for column in values.T],
            }
            for key, values in sorted(found.per_case.items(), key=lambda kv: kv[0] != whole)
        },
        "curves": curves,
        "costs": costs,
        "cases": list(cases),
    }


def _short(value: float) -> float | None:
    return None if not math.isfinite(value) else float(f"{value:.4g}")


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float | None]]:
    return [(x, _short(y)) for x, y in points if math.isfinite(y)]


def _asset(name: str) -> str:
    return (resources("medlight.compare") / "assets" / name).read_text(encoding="utf-8")


def _vendored(name: str) -> str:
    return (resources("medlight.compare") / "vendor" / name).read_text(encoding="utf-8")
