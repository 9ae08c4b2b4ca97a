"""Report non-deterministic operations."""

import logging
import re
import warnings
from typing import Any

import pytorch_lightning as pl
import torch

log = logging.getLogger(__name__)

WARNING_PATTERN = re.compile(r"^(\S+) does not have a deterministic implementation")
"""How torch begins its warning, with the name of the operation."""


class Determinism(pl.Callback):
    """With `deterministic=true`, names the operations that torch has no deterministic form of on
    this device; on a CPU there are none among those that medlight trains with.

    torch warns of each, once and amid its own advice; here they are gathered and said in one line
    after the first epoch, and again where validation or test adds some.
    """

    def __init__(self) -> None:
        self.operations: list[str] = []
        self._reported = 0
        self._original_showwarning: Any = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if (
            torch.is_deterministic_algorithms_warn_only_enabled()
            and self._original_showwarning is None
        ):
            warnings.filterwarnings("always", message=WARNING_PATTERN.pattern[1:])
            self._original_showwarning, warnings.showwarning = (
                warnings.showwarning,
                self._on_warning,
            )

    def _on_warning(self, message: Warning | str, *args: Any, **kwargs: Any) -> None:
        match = WARNING_PATTERN.match(str(message))
        if match is None:
            self._original_showwarning(message, *args, **kwargs)
        elif match[1] not in self.operations:
            self.operations.append(match[1])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._report(trainer)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._report(trainer)
        self._restore_showwarning()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._restore_showwarning()

    def _restore_showwarning(self) -> None:
        if self._original_showwarning is not None:
            warnings.showwarning, self._original_showwarning = self._original_showwarning, None

    def _report(self, trainer: pl.Trainer) -> None:
        if len(self.operations) > self._reported and trainer.is_global_zero:
            self._reported = len(self.operations)
            log.warning(
                "Not deterministic on this device: %s. Two runs may differ in the last bits.",
                ", ".join(sorted(self.operations)),
            )
