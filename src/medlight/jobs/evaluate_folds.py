"""The cases of several finished runs as one table: folds together."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import get_console
from rich.table import Table

from medlight.callbacks.results import write_scores
from medlight.callbacks.selective import write_review_order
from medlight.core.case_result import Row
from medlight.core.errors import DataError
from medlight.report.console_table import console_table
from medlight.report.score_table import format_score, score_table
from medlight.runs.directory import PROVENANCE_FILE, RunDirectory
from medlight.runs.files import write_text
from medlight.tasks.outcome import Outcome

REVIEW_CASES = 5
MAX_METRICS = 5


def evaluate_folds(runs: Sequence[Path], run_dir: Path, outcome: Outcome) -> None:
    """Write `cases.csv`, `metrics.json`, `provenance.json` and `look_first.csv` of all test cases
    of `runs`, and print a line for each run and the table of all. No case may be in two runs.

    DataError where runs were scored under different policies, or overlap.
    """
    policies = {run: RunDirectory(run).provenance().get("policy", "not recorded") for run in runs}
    if len(set(policies.values())) > 1:
        told = "\n  ".join(f"{run.name}: {policy}" for run, policy in policies.items())
        raise DataError(f"these runs were scored under different policies:\n  {told}")
    of_run = {run: RunDirectory(run).cases().rows(outcome.spec.text_columns) for run in runs}
    _check_disjoint(of_run)
    rows = [row for part in of_run.values() for row in part]
    scores, intervals = outcome.summarise(rows), outcome.intervals(rows)
    write_scores(run_dir, outcome.spec, rows, scores, intervals)
    policy = next(iter(policies.values()))
    record = {"policy": policy, "runs": [run.name for run in runs]}
    write_text(run_dir / PROVENANCE_FILE, json.dumps(record, indent=2) + "\n")
    console = get_console()
    each = {run.name: outcome.summarise(part) for run, part in of_run.items()}
    console.print(_run_table(each, outcome))
    cases = len({row["case"] for row in rows})
    title = f"{len(runs)} runs together, {cases} cases"
    console.print(score_table(outcome.spec, scores, intervals, title=title, width=console.width))
    write_review_order(run_dir, outcome, rows, show=REVIEW_CASES)


def print_run_scores(runs: Sequence[Path], outcome: Outcome) -> None:
    """Print a line for each run that has been tested."""
    tested = [run for run in map(RunDirectory, runs) if run.cases_file]
    if tested:
        text = outcome.spec.text_columns
        lines = {run.path.name: outcome.summarise(run.cases().rows(text)) for run in tested}
        get_console().print(_run_table(lines, outcome))


def _check_disjoint(of_run: Mapping[Path, Sequence[Row]]) -> None:
    seen = Counter(case for rows in of_run.values() for case in {row["case"] for row in rows})
    twice = sorted(str(case) for case, count in seen.items() if count > 1)
    if twice:
        raise DataError(
            f"{len(twice)} cases were tested by more than one of these runs ({twice[0]}): "
            f"some runs share a test set and others do not; name the runs of one kind"
        )


def _run_table(scores: Mapping[str, Mapping[str, float]], outcome: Outcome) -> Table:
    metrics = outcome.spec.metrics
    known = [name for name in metrics if any(name in own for own in scores.values())][:MAX_METRICS]
    return console_table(
        "Each run",
        ["run", *(f"{metrics[m].title} {metrics[m].unit}".strip() for m in known)],
        [[run, *(format_score(own.get(m)) for m in known)] for run, own in scores.items()],
        width=get_console().width,
    )
