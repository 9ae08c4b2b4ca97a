"""A comparison as one page of HTML that works from a file, offline, with keys alone."""

import math
from collections.abc import Iterator, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from medlight.compare.comparison import Comparison
from medlight.compare.cost import COST_METRICS, pareto
from medlight.compare.forest import forest_plot
from medlight.compare.formatting import (
    DASH,
    class_label,
    conclusion,
    describe_variance,
    format_interval,
    format_number,
    format_p_value,
    verdict,
)
from medlight.compare.runs import read_curves
from medlight.compare.viewer import CaseFiles, viewer_cases
from medlight.report.page import ScriptedPage

PAGE = "comparison.html"
MAX_CURVES = 60
"""Curves of more groups than this would be no picture."""
MAX_VALUE_COLUMNS = 4
"""Groups whose settings fit beside each other."""


def save_page(comparison: Comparison, path: Path, files: CaseFiles = lambda case: {}) -> None:
    """Write the page.

    Args:
        comparison: what it shows.
        path: of the HTML file.
        files: case id to the files that the viewer shows, by role.
    """
    page(comparison, files).save(path)


def page(comparison: Comparison, files: CaseFiles = lambda case: {}) -> ScriptedPage:
    """Make the page: what the runs differ by first, and whatever is long behind a click."""
    cases = viewer_cases(comparison, files)
    made = ScriptedPage(_title(comparison), style=_asset("page.css"))
    patients = len(set(comparison.patients))
    made.text(
        f"{len(comparison.cases)} test cases of {patients} patients. Reference: "
        f"{comparison.reference.name}."
    )
    main = [result for result in comparison.results if result.key == _main_key(comparison)]
    if main:
        made.svg(forest_plot(main, comparison.reference.name))
    for each in comparison.skipped:
        made.callout("warning", f"left out: {each.path}", each.reason, "Fix it, or leave it out.")
    made.data("data", _data(comparison, cases))
    if main:
        made.heading("Verdict")
        for result in main:
            made.statement(
                verdict(result), f"{result.group}: {verdict(result)}", conclusion(result)
            )
    made.heading("Scores")
    made.text(
        "Intervals are 95 %, by bootstrap over patients; AUROC by DeLong. p values are corrected "
        "over all classes and runs of a metric (Holm)."
    )
    made.sortable(comparison.main.long_title, *_scores(comparison, comparison.metric))
    if others := [metric for metric in comparison.metrics if metric != comparison.metric]:
        with made.folded("Other metrics"):
            for metric in others:
                made.sortable(comparison.about(metric).long_title, *_scores(comparison, metric))
    if comparison.results:
        with made.folded("Tests, effect sizes and detectable differences"):
            for metric in dict.fromkeys(result.key[0] for result in comparison.results):
                made.sortable(comparison.about(metric).long_title, *_tests(comparison, metric))
    made.heading("Cases")
    if cases:
        names = ", ".join(comparison.reference.first_cases.classes)
        made.text(f"Cases worth a look. Classes: {names}.")
        if any(case.get("image") or case.get("picture") for case in cases):
            made.text("Images are of patients: keep the page as you keep those.")
    else:
        made.text("No predictions or images were found for a closer look.")
    made.placeholder("viewer", "Viewer")
    made.placeholder("scatter", "Case by case")
    if len(comparison.groups) > 1:
        with made.folded(f"Cases that changed most ({comparison.main.long_title})"):
            made.sortable("", ["run", "case", "reference", "here"], _changes(comparison))
    made.heading("Training curves")
    made.placeholder("curves", "Training curves")
    made.heading("Score and cost")
    made.placeholder("pareto", "Score and cost")
    made.sortable("Cost, mean of a run", *_cost_rows(comparison))
    if len(comparison.groups) > 1:
        made.heading("Rank stability")
        made.text(f"Ranks by {comparison.main.long_title} over bootstrap samples of patients.")
        made.sortable("", *_ranks(comparison))
    if any(len(group.runs) > 1 for group in comparison.groups):
        made.heading("Seeds and folds")
        for group in comparison.groups:
            made.text(
                f"{group.name} ({group.describe_repeats()}): {_spread(comparison, group.name)}."
            )
    if comparison.config_differences:
        with made.folded("Settings that differ"):
            made.sortable("", *_differences(comparison))
    with made.folded("Runs"):
        made.sortable("", ["run", "seed", "fold", "directory"], _runs(comparison))
    if any("image" in case for case in cases):
        made.details("Licence of the viewer, NiiVue", _vendored("niivue.LICENSE").splitlines())
        made.script(_vendored("niivue.umd.js"))
    made.script(_asset("page.js"))
    made.script(_asset("viewer.js"))
    return made


def _title(comparison: Comparison) -> str:
    others = len(comparison.groups) - 1
    against = f" against {others} other{'s' * (others > 1)}" if others else ""
    return f"{comparison.reference.name}{against}"


def _main_key(comparison: Comparison) -> tuple[str, str]:
    return (comparison.metric, comparison.classes(comparison.metric)[-1])


def _scores(comparison: Comparison, metric: str) -> tuple[list[str], Iterator[list[str]]]:
    about = comparison.about(metric)
    head = ["class", "run", "mean (95 % interval)", "cases"]
    if any(result.key[0] == metric for result in comparison.results):
        head += ["difference (95 % interval)", "p (Holm)", "verdict"]

    def rows() -> Iterator[list[str]]:
        results = {(result.group, result.key): result for result in comparison.results}
        for name in comparison.classes(metric):
            key = (metric, name)
            for group in comparison.groups:
                mean = comparison.scores[group.name][key]
                row = [
                    class_label(key),
                    group.name,
                    _no_wrap(format_interval(mean, about)),
                    str(mean.n),
                ]
                if result := results.get((group.name, key)):
                    row += [
                        _no_wrap(format_interval(result.difference, result.metric, signed=True)),
                        format_p_value(result.adjusted),
                        _no_wrap(verdict(result)),
                    ]
                yield row + [""] * (len(head) - len(row))

    return head, rows()


def _tests(comparison: Comparison, metric: str) -> tuple[list[str], list[list[str]]]:
    head = ["class", "run", "test", "p", "p (Holm)", "effect", "better", "same", "worse",
            "detectable"]  # fmt: skip
    rows = []
    for result in (each for each in comparison.results if each.key[0] == metric):
        effect, counts = result.test.effect, (result.wins, result.ties, result.losses)
        rows.append(
            [
                class_label(result.key),
                result.group,
                result.test.name,
                format_p_value(result.test.p),
                format_p_value(result.adjusted),
                DASH if math.isnan(effect) else f"{effect:+.2f}",
                *([DASH] * 3 if result.test.name == "DeLong" else map(str, counts)),
                DASH if math.isnan(result.min_detectable) else f"{result.min_detectable:.2g}",
            ]
        )
    return head, rows


def _changes(comparison: Comparison) -> list[list[str]]:
    return [
        [
            name,
            m.case,
            format_number(m.reference, comparison.main),
            format_number(m.contender, comparison.main),
        ]
        for name, changes in comparison.changes.items()
        for m in changes
    ]


def _differences(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """A column for each group; of many groups, a row for each value and who has it."""
    names = [group.name for group in comparison.groups]
    if len(names) <= MAX_VALUE_COLUMNS:
        return ["setting", *names], [[key, *v] for key, v in comparison.config_differences]
    rows = [
        [key, value, ", ".join(n for n, v in zip(names, values, strict=True) if v == value)]
        for key, values in comparison.config_differences
        for value in dict.fromkeys(values)
    ]
    return ["setting", "value", "runs"], rows


def _no_wrap(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _cost_rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    head = ["run", *(f"{p.title} ({p.unit})" if p.unit else p.title for p in COST_METRICS.values())]
    rows = []
    for group in comparison.groups:
        costs = comparison.costs[group.name].values()
        rows.append([group.name, *(DASH if math.isnan(c) else f"{c:,.4g}" for c in costs)])
    return head, rows


def _ranks(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    pairs = sorted(
        zip(comparison.ranks, comparison.groups, strict=False), key=lambda pair: pair[0].rank
    )
    rows = [[g.name, str(r.rank), f"{r.p_first:.1%}", f"{r.low} to {r.high}"] for r, g in pairs]
    return ["run", "rank", "first in", "95 % of ranks"], rows


def _runs(comparison: Comparison) -> list[list[str]]:
    return [
        [g.name, run.seed, run.fold, str(run.path)] for g in comparison.groups for run in g.runs
    ]


def _spread(comparison: Comparison, name: str) -> str:
    return describe_variance(comparison.variance[name], comparison.main)


def _data(comparison: Comparison, cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the scripts draw. Numbers have four digits, which is what a screen shows."""
    main_key = _main_key(comparison)
    means = [comparison.scores[group.name][main_key].mean for group in comparison.groups]
    curves: dict[str, list[dict[str, Any]]] = {}
    for number_, group in enumerate(comparison.groups[:MAX_CURVES]):
        for run in group.runs:
            for name, points in read_curves(run).items():
                line = {"group": number_, "name": f"{group.name}, seed {run.seed}, fold {run.fold}"}
                curves.setdefault(name, []).append(line | {"points": _finite(points)})
    costs = {}
    for name, metric in COST_METRICS.items():
        values = [comparison.costs[group.name][name] for group in comparison.groups]
        spent = values if metric.lower_is_better else [-value for value in values]
        costs[name] = {
            "title": f"{metric.title} ({metric.unit})" if metric.unit else metric.title,
            "values": [_short(value) for value in values],
            "front": pareto(means, spent, better=comparison.main.direction),
        }
    return {
        "groups": [group.name for group in comparison.groups],
        "labels": list(comparison.reference.first_cases.classes),
        "ids": list(comparison.cases),
        "title": comparison.main.long_title,
        "curve": f"val/{comparison.metric}",
        "means": [_short(mean) for mean in means],
        "scores": {
            "|".join(key): {
                "title": f"{comparison.about(key[0]).title}, {class_label(key)}",
                "higher": comparison.about(key[0]).direction == "higher",
                "columns": [[_short(v) for v in column] for column in values.T],
            }
            for key, values in sorted(comparison.per_case.items(), key=lambda kv: kv[0] != main_key)
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
