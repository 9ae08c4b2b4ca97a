"""What must hold before a run is resumed: found out while nothing of it has been changed."""

import logging
from pathlib import Path

import pytorch_lightning as pl

from medlight.core.errors import ConfigError
from medlight.tasks.base import Task
from medlight.tasks.checkpoint import check_weights, load_checkpoint

log = logging.getLogger(__name__)


def check_resume(path: Path, task: Task, trainer: pl.Trainer) -> None:
    """Check that a run can go on from a checkpoint, and say so if there is nothing left to train.

    Args:
        path: of the checkpoint.
        task: whose weights it should hold.
        trainer: how long is trained.

    Raises:
        DataError: the checkpoint is damaged, or of another net.
        ConfigError: the run is past `trainer.max_epochs` already.
    """
    held = load_checkpoint(path)
    check_weights(path, held, task)
    epochs, steps = int(held.get("epoch", 0)), int(held.get("global_step", 0))
    limits = {"max_epochs": (trainer.max_epochs, epochs), "max_steps": (trainer.max_steps, steps)}
    for name, (limit, done) in limits.items():
        if limit is None or limit < 0 or done < limit:
            continue
        unit = name.removeprefix("max_")
        if done > limit:
            raise ConfigError(
                f"the run has trained {done} {unit} already, and trainer.{name} is {limit}: give "
                f"a larger one, or leave it out"
            )
        if trainer.is_global_zero:
            log.info(
                "The run has trained all of its %d %s: nothing is left to train. To train on: "
                "trainer.%s=<more>",
                done, unit, name,
            )  # fmt: skip
