"""A comparison as csv and JSON."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from medlight.compare.comparison import Comparison
from medlight.compare.formatting import conclusion, verdict
from medlight.compare.groups import Group
from medlight.compare.runs import Run
from medlight.runs.files import csv_text, write_texts

CSV = "comparison.csv"
JSON = "comparison.json"


def save(comparison: Comparison, folder: Path) -> None:
    """Write `comparison.csv` and `comparison.json` into a folder."""
    lines = rows(comparison)
    columns = list(lines[-1])
    table = csv_text(columns, ([line[name] for name in columns] for line in lines))
    report = json.dumps(_known(as_dict(comparison)), indent=1, ensure_ascii=False) + "\n"
    write_texts({folder / CSV: table, folder / JSON: report})


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One line for each run, metric and class; all lines have the same keys."""
    results = {(result.group, result.key): result for result in comparison.results}
    lines = []
    for group in comparison.groups:
        for key, mean in comparison.scores[group.name].items():
            line: dict[str, Any] = {
                "run": group.name, "metric": key[0], "class": key[1] or "all",
                "n": mean.n, "mean": mean.mean, "low": mean.low, "high": mean.high,
            }  # fmt: skip
            result = results.get((group.name, key))
            line |= {
                "difference": result.difference.mean if result else "",
                "difference_low": result.difference.low if result else "",
                "difference_high": result.difference.high if result else "",
                "test": result.test.name if result else "",
                "p": result.test.p if result else "",
                "p_holm": result.adjusted if result else "",
                "effect": result.test.effect if result else "",
                "wins": result.wins if result else "",
                "ties": result.ties if result else "",
                "losses": result.losses if result else "",
                "min_detectable": result.min_detectable if result else "",
                "patients": result.patients if result else "",
                "verdict": verdict(result) if result else "",
            }
            lines.append(line)
    return lines


def as_dict(comparison: Comparison) -> dict[str, Any]:
    names = [group.name for group in comparison.groups]
    return {
        "reference": comparison.reference.name,
        "metric": comparison.metric,
        "cases": len(comparison.cases),
        "patients": len(set(comparison.patients)),
        "runs": {
            group.name: [
                {"directory": str(run.path), "seed": run.seed, "fold": run.fold}
                for run in group.runs
            ]
            for group in comparison.groups
        },
        "scores": rows(comparison),
        "conclusions": [conclusion(result) for result in comparison.results],
        "changes": {
            name: [asdict(case) for case in cases] for name, cases in comparison.changes.items()
        },
        "ranks": {n: asdict(rank) for n, rank in zip(names, comparison.ranks, strict=False)},
        "variance": {name: asdict(components) for name, components in comparison.variance.items()},
        "costs": comparison.costs,
        "differences": {
            key: dict(zip(names, values, strict=True))
            for key, values in comparison.config_differences
        },
        "skipped": {str(each.path): each.reason for each in comparison.skipped},
    }


def _known(value: Any) -> Any:
    """Nan, which JSON lacks, as null."""
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_known(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def anonymise(comparison: Comparison, hashed: Callable[[str], str]) -> Comparison:
    """The same numbers; cases and patients are called what `hashed` makes of their names."""

    def hidden(run: Run) -> Run:
        ids, patients = map(hashed, run.cases.ids), map(hashed, run.cases.patients)
        cases = replace(run.cases, ids=tuple(ids), patients=tuple(patients))
        return replace(run, path=Path(run.path.name), cases=cases)

    groups = tuple(Group(each.name, tuple(map(hidden, each.runs))) for each in comparison.groups)
    return replace(
        comparison,
        groups=groups,
        cases=tuple(map(hashed, comparison.cases)),
        patients=tuple(map(hashed, comparison.patients)),
        changes={
            name: [replace(each, case=hashed(each.case)) for each in changes]
            for name, changes in comparison.changes.items()
        },
        skipped=(),
    )
