"""Test a trained checkpoint again, or several runs together."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl

from medlight.core.errors import ConfigError, SplitError
from medlight.data.datamodule import DataModule
from medlight.jobs.calibration import test
from medlight.jobs.evaluate_folds import evaluate_folds, print_run_scores
from medlight.jobs.verb import verb
from medlight.runs.directory import RunDirectory
from medlight.tasks.base import Task
from medlight.tasks.trained_model import LoadModel, TrainedModel, check_compatible

log = logging.getLogger(__name__)


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
    path = RunDirectory(run_dir).checkpoint(checkpoint)
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
