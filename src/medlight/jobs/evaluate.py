"""Test a trained checkpoint again, or several runs together: seeds as an ensemble, folds as one."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
from rich import get_console
from rich.table import Table

from medlight.callbacks.results import write_scores
from medlight.callbacks.selective import write_review_order
from medlight.core.case_result import Row
from medlight.core.errors import ConfigError, DataError, SplitError, reading
from medlight.data.datamodule import DataModule
from medlight.jobs.calibration import test
from medlight.jobs.verb import verb
from medlight.report.console_table import console_table
from medlight.report.score_table import format_score, score_table
from medlight.runs.directory import PROVENANCE_FILE, RESTORE, RunDirectory
from medlight.runs.files import write_text
from medlight.tasks.base import Task
from medlight.tasks.checkpoint import check_weights, load_checkpoint
from medlight.tasks.outcome import Outcome
from medlight.tasks.trained_model import LoadModel, TrainedModel, check_compatible

log = logging.getLogger(__name__)
REVIEW_CASES = 5
MAX_METRICS = 5


@verb("data", "task", "trainer", "run_dir", "load", "runs")
def evaluate(
    *,
    data: DataModule,
    task: Task,
    trainer: pl.Trainer,
    run_dir: Path,
    load: LoadModel,
    runs: Sequence[Path] = (),
    checkpoint: str = "best",
    calibrate: bool = False,
) -> None:
    """Score the test side of the run's own split.

    Several runs that were tested on the same cases, such as seeds, answer together and are tested
    as an ensemble. Others, such as folds, are put together from what their tests left behind.

    Args:
        load: reads a run.
        runs: the run directories that `run=` names.
        checkpoint: "best", "last", or a path. A run without validation has no best: its last.
        calibrate: divide the logits of a classifier by the temperature that fits the validation
            cases; it is reported either way.

    Raises:
        SplitError: the run has no test cases.
        ConfigError: the runs cannot be an ensemble.
        DataError: the runs cannot be put together.
    """
    if len(runs) > 1 and not _same_cases(runs):
        return evaluate_folds(runs, run_dir, task.outcome) if trainer.is_global_zero else None
    if not data.split.test:
        raise SplitError(f"{run_dir}: fold {data.split.fold} has no test cases to evaluate")
    if len(runs) > 1:
        if trainer.is_global_zero:
            print_run_scores(runs, task.outcome)
        log.info("%d runs were tested on the same cases: they are scored as an ensemble", len(runs))
        _set_ensemble(
            task, [load(run, checkpoint).to(trainer.strategy.root_device) for run in runs]
        )
        trainer.test(task, datamodule=data, verbose=False)
        return
    path = RunDirectory(runs[0] if runs else run_dir).checkpoint(checkpoint)
    check_weights(path, load_checkpoint(path), task)
    test(task, data, trainer, run_dir, checkpoint=path, calibrate=calibrate)


def _set_ensemble(task: Task, models: Sequence[TrainedModel]) -> None:
    """Let runs answer in place of a task, which gives them its images and windows."""
    check_compatible(models)
    patches = {each.spec.patch for each in models}
    if len(patches) > 1:
        told = " and ".join(sorted("x".join(map(str, patch or ("whole",))) for patch in patches))
        raise ConfigError(
            f"these runs were trained on windows of {told}; medlight predict run=... takes them "
            f"together, and medlight evaluate predictions=... scores what it writes"
        )
    task.join(models)


def _same_cases(runs: Sequence[Path]) -> bool:
    """Whether all runs have the same test side."""
    tested = {tuple(sorted(RunDirectory(run).split()["test"])) for run in runs}
    return len(tested) == 1


def evaluate_folds(runs: Sequence[Path], run_dir: Path, outcome: Outcome) -> None:
    """Write `cases.csv`, `metrics.json`, `provenance.json` and `look_first.csv` of all test cases
    of `runs`, and print a line for each run and the table of all. No case may be in two runs.

    Raises:
        DataError: the runs were scored under different policies, share test cases, or are partial.
    """
    for run in runs:
        if left_out := RunDirectory(run).left_out():
            raise DataError(
                f"{run}: a partial run, no result ({', '.join(left_out)}); leave it out of run="
            )
    policies = {run: _policy(run) for run in runs}
    if len(set(policies.values())) > 1:
        told = "\n  ".join(f"{run.name}: {policy}" for run, policy in policies.items())
        raise DataError(f"these runs were scored under different policies:\n  {told}")
    of_run = {run: RunDirectory(run).cases().rows(outcome.spec.text_columns) for run in runs}
    _check_disjoint(of_run)
    each = {run.name: _summary(run, rows, outcome) for run, rows in of_run.items()}
    rows = [row for part in of_run.values() for row in part]
    scores, intervals = outcome.summarise(rows), outcome.intervals(rows)
    write_scores(run_dir, outcome.spec, rows, scores, intervals)
    policy = next(iter(policies.values()))
    record = {"policy": policy, "runs": [run.name for run in runs]}
    write_text(run_dir / PROVENANCE_FILE, json.dumps(record, indent=2) + "\n")
    console = get_console()
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
        rows = {run.path: run.cases().rows(text) for run in tested}
        lines = {path.name: _summary(path, part, outcome) for path, part in rows.items()}
        get_console().print(_run_table(lines, outcome))


def _policy(run: Path) -> str:
    return str(RunDirectory(run).provenance().get("policy", "not recorded"))


def _summary(run: Path, rows: Sequence[Row], outcome: Outcome) -> Mapping[str, float]:
    """The scores of one run's rows, whose columns may be any."""
    with reading(RunDirectory(run).cases_file or run, RESTORE):
        return outcome.summarise(list(rows))


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
