"""Test a trained checkpoint again, or put the tests of several runs together."""

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl

from medlight.core.errors import DataNotFoundError, SplitError
from medlight.data.datamodule import DataModule
from medlight.jobs.cross_validated import cross_validated
from medlight.tasks.base import Task


def evaluate(
    *,
    data: DataModule,
    task: Task,
    trainer: pl.Trainer,
    run_dir: Path,
    runs: Sequence[Path] = (),
    checkpoint: str = "best",
) -> None:
    """Score the test side of the run's own split; of several runs, put together what their tests
    left behind.

    Args:
        runs: the run directories that `run=` names.
        checkpoint: "best", "last", or the path of a checkpoint.
    """
    if len(runs) > 1:
        return cross_validated(runs, run_dir)
    if not data.split.test:
        raise SplitError(f"{run_dir}: fold {data.split.fold} has no test cases to evaluate")
    path = Path(checkpoint)
    if checkpoint in ("best", "last"):
        path = run_dir / "checkpoints" / f"{checkpoint}.ckpt"
    if not path.is_file():
        raise DataNotFoundError(
            f"no checkpoint at {path}; train first, or name one with job.checkpoint=<path>"
        )
    trainer.test(task, datamodule=data, ckpt_path=path, verbose=False)
