"""Train, then test with the best checkpoint."""

from pathlib import Path

import pytorch_lightning as pl

from medlight.core.errors import DataNotFoundError
from medlight.data.datamodule import DataModule
from medlight.tasks.base import Task


def fit(
    *,
    data: DataModule,
    task: Task,
    trainer: pl.Trainer,
    run_dir: Path,
    resume: str | Path | None = None,
) -> float | None:
    """Fit, test where the split has a test side, and return the best validation score.

    Without a validation side, the weights of the last epoch are kept and tested.

    Args:
        run_dir: where checkpoints lie.
        resume: that same folder, to go on from its last checkpoint; None: start anew.
    """
    trainer.fit(task, datamodule=data, ckpt_path=last_checkpoint(run_dir) if resume else None)
    checkpoint = trainer.checkpoint_callback
    best = getattr(checkpoint, "best_model_path", None) or None
    if data.split.test:
        trainer.test(task, datamodule=data, ckpt_path=best, verbose=False)
    score = getattr(checkpoint, "best_model_score", None)
    return None if score is None else float(score)


def last_checkpoint(run_dir: Path) -> Path:
    """The newest checkpoint of a run, to go on from."""
    path = run_dir / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise DataNotFoundError(f"nothing to resume: no checkpoint at {path}; start the run anew")
    return path
