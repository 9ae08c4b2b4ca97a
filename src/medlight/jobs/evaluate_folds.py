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
from medlight.callbacks.selective import write_review_order
from medlight.core.case_result import Row
from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.outcome import OutcomeSpec
from medlight.report.score_table import format_score, score_table
from medlight.runs.files import write_text
from medlight.tasks.outcome import Outcome

REVIEW_CASES = 5
MAX_METRICS = 5


def evaluate_folds(runs: Sequence[Path], run_dir: Path, outcome: Outcome) -> None:
    """Write `cases.csv`, `metrics.json`, `provenance.json` and `look_first.csv` of all test cases
    of `runs`, and print a line for each run and the table of all. No case may be in two runs.

    DataError where runs were scored under different policies, or overlap.
    """
    policies = {run: _policy(run) for run in runs}
    if len(set(policies.values())) > 1:
        told = "\n  ".join(f"{run.name}: {policy}" for run, policy in policies.items())
        raise DataError(f"these runs were scored under different policies:\n  {told}")
    of_run = {run: read_rows(run, outcome.spec) for run in runs}
    _check_disjoint(of_run)
    rows = [row for part in of_run.values() for row in part]
    scores, intervals = outcome.summarise(rows), outcome.intervals(rows)
    write_scores(run_dir, outcome.spec, rows, scores, intervals)
    policy = next(iter(policies.values()))
    record = {"policy": policy, "runs": [run.name for run in runs]}
    write_text(run_dir / "provenance.json", json.dumps(record, indent=2) + "\n")
    console = get_console()
    console.print(_run_table({run.name: outcome.summarise(part) for run, part in of_run.items()}))
    cases = len({row["case"] for row in rows})
    title = f"{len(runs)} runs together, {cases} cases"
    console.print(score_table(outcome.spec, scores, intervals, title=title, width=console.width))
    write_review_order(run_dir, outcome, rows, show=REVIEW_CASES)


def print_run_scores(runs: Sequence[Path], outcome: Outcome) -> None:
    """Print a line for each run that has been tested."""
    tested = [run for run in runs if (run / "cases.csv").is_file()]
    if tested:
        lines = {run.name: outcome.summarise(read_rows(run, outcome.spec)) for run in tested}
        get_console().print(_run_table(lines, outcome))


def read_rows(run: Path, spec: OutcomeSpec) -> list[Row]:
    """The lines of a run's cases.csv, numbers as numbers."""
    path = run / "cases.csv"
    if not path.is_file():
        raise DataNotFoundError(
            f"{run} has no cases.csv: it has not been tested; type medlight evaluate run={run}"
        )
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {
                key: text if key in spec.text_columns else _parse_number(text)
                for key, text in line.items()
            }
            for line in csv.DictReader(file)
        ]


def _parse_number(text: str) -> float | int:
    if text == "":
        return math.nan
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _policy(run: Path) -> str:
    path = run / "provenance.json"
    record: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return str(record.get("policy", "not recorded"))


def _check_disjoint(of_run: Mapping[Path, Sequence[Row]]) -> None:
    seen = Counter(case for rows in of_run.values() for case in {row["case"] for row in rows})
    twice = sorted(str(case) for case, count in seen.items() if count > 1)
    if twice:
        raise DataError(
            f"{len(twice)} cases were tested by more than one of these runs ({twice[0]}): "
            f"some runs share a test set and others do not; name the runs of one kind"
        )


def _run_table(scores: Mapping[str, Mapping[str, float]], outcome: Outcome) -> Table:
    table = Table(title="Each run", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("run", overflow="fold")
    known = {
        name: metric
        for name, metric in outcome.spec.metrics.items()
        if any(name in own for own in scores.values())
    }
    shown = list(known)[:MAX_METRICS]
    for name in shown:
        unit = known[name].unit
        table.add_column(known[name].title + (f" {unit}" if unit else ""), justify="right")
    for run, own in scores.items():
        table.add_row(run, *(format_score(own.get(name)) for name in shown))
    return table
