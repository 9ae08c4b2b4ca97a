"""The cases of several finished runs as one table: folds together."""

import csv
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import get_console
from rich.box import SIMPLE_HEAD
from rich.table import Table

from medlight.callbacks.results import write_scores
from medlight.callbacks.selective import look_first
from medlight.core.case_result import Row
from medlight.core.errors import DataError, DataNotFoundError
from medlight.metrics.bootstrap import Interval
from medlight.metrics.classification import class_intervals, summarise_classes
from medlight.metrics.findings import finding_intervals, summarise_findings
from medlight.metrics.names import METRICS
from medlight.metrics.summary import segmentation_intervals, summarise_segmentation
from medlight.report.score_table import score_table, shown
from medlight.runs.files import write_text

WORDS = ("case", "patient", "fold", "stage", "class", "truth", "prediction")
"""Columns of cases.csv that hold text; all others hold numbers."""
SHOWN = 5
LEADING = ("dice", "hd95_mm", "nsd", "accuracy", "auroc", "ece", "aurc")


def cross_validated(runs: Sequence[Path], run_dir: Path) -> None:
    """Write `cases.csv`, `metrics.json`, `provenance.json` and `look_first.csv` of all test cases
    of `runs`, and print a line for each run and the table of all. No case may be in two runs.

    DataError where runs were scored under different policies, or overlap.
    """
    policies = {run: _policy(run) for run in runs}
    if len(set(policies.values())) > 1:
        told = "\n  ".join(f"{run.name}: {policy}" for run, policy in policies.items())
        raise DataError(f"these runs were scored under different policies:\n  {told}")
    of_run = {run: read_rows(run) for run in runs}
    _apart(of_run)
    rows = [row for part in of_run.values() for row in part]
    scores, intervals = scored(rows)
    write_scores(run_dir, rows, scores, intervals)
    policy = next(iter(policies.values()))
    record = {"policy": policy, "runs": [run.name for run in runs]}
    write_text(run_dir / "provenance.json", json.dumps(record, indent=2) + "\n")
    console = get_console()
    console.print(_line_for_each({run.name: scored(part)[0] for run, part in of_run.items()}))
    cases = len({row["case"] for row in rows})
    title = f"{len(runs)} runs together, {cases} cases"
    console.print(score_table(scores, intervals, policy=policy, title=title, width=console.width))
    look_first(run_dir, rows, show=SHOWN)


def show_each(runs: Sequence[Path]) -> None:
    """Print a line for each run that has been tested."""
    tested = [run for run in runs if (run / "cases.csv").is_file()]
    if tested:
        lines = {run.name: scored(read_rows(run))[0] for run in tested}
        get_console().print(_line_for_each(lines))


def read_rows(run: Path) -> list[Row]:
    """The lines of a run's cases.csv, numbers as numbers."""
    path = run / "cases.csv"
    if not path.is_file():
        raise DataNotFoundError(
            f"{run} has no cases.csv: it has not been tested; type medlight evaluate run={run}"
        )
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {key: text if key in WORDS else _number(text) for key, text in line.items()}
            for line in csv.DictReader(file)
        ]


def scored(rows: Sequence[Row]) -> tuple[dict[str, float], dict[str, Interval]]:
    """Scores and intervals from the lines of cases.csv alone."""
    if rows and "truth" in rows[0]:
        names = [key.removeprefix("p_") for key in rows[0] if key.startswith("p_")]
        return summarise_classes(rows, names), class_intervals(rows, names)
    if rows and "class" not in rows[0]:
        names = [key.removeprefix("truth_") for key in rows[0] if key.startswith("truth_")]
        return summarise_findings(rows, names), finding_intervals(rows, names)
    names = list(dict.fromkeys(str(row["class"]) for row in rows))
    return summarise_segmentation(rows, names), segmentation_intervals(rows, names)


def _number(text: str) -> float | int:
    if text == "":
        return math.nan
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _policy(run: Path) -> str:
    path = run / "provenance.json"
    record: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return str(record.get("policy", "not recorded"))


def _apart(of_run: Mapping[Path, Sequence[Row]]) -> None:
    seen = Counter(case for rows in of_run.values() for case in {row["case"] for row in rows})
    twice = sorted(str(case) for case, count in seen.items() if count > 1)
    if twice:
        raise DataError(
            f"{len(twice)} cases were tested by more than one of these runs ({twice[0]}): "
            f"some runs share a test set and others do not; name the runs of one kind"
        )


def _line_for_each(scores: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title="Each run", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("run", overflow="fold")
    known = [m for m in LEADING if any(m in own for own in scores.values())]
    for metric in known:
        unit = METRICS[metric].unit
        table.add_column(METRICS[metric].title + (f" {unit}" if unit else ""), justify="right")
    for run, own in scores.items():
        table.add_row(run, *(shown(own.get(metric)) for metric in known))
    return table
