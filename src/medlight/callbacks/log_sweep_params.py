"""Tell the loggers what sets a run apart from the others of its sweep."""

from collections.abc import Mapping

import pytorch_lightning as pl


class LogSweepParams(pl.Callback):
    """Logs `sweep: {lr: 0.003, augment: light}`: one plain value for each setting that varies.

    W&B draws parallel coordinates of such, and not of the whole groups that a choice brings.

    Args:
        values: name to value.
    """

    def __init__(self, *, values: Mapping[str, int | float | str]) -> None:
        self.values = dict(values)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and self.values and trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_hyperparams({"sweep": self.values})
