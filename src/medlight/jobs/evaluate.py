"""Test a trained checkpoint again."""

from pathlib import Path

import pytorch_lightning as pl

from medlight.core.errors import DataNotFoundError, SplitError
from medlight.data.datamodule import DataModule
from medlight.tasks.base import Task


def evaluate(
    *, data: DataModule, task: Task, trainer: pl.Trainer, run_dir: Path, checkpoint: str = "best"
) -> None:
    """Score the test side of the run's own split.

    Args:
        checkpoint: "best", "last", or the path of a checkpoint.
    """
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
