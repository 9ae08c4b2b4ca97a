"""The checkpoint from which a run goes on as if nothing had happened."""

import logging
import os
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from medlight.callbacks.curves import CurvesLogger
from medlight.callbacks.loop_state import (
    add_epoch_sums,
    epoch_means,
    epoch_sums,
    epochs_done,
    make_paths_absolute,
    make_paths_relative,
    restore_epoch_means,
)
from medlight.callbacks.stop_reason import stop_reason
from medlight.compat.lightning import rewind, stop_after_batch
from medlight.compat.torch import copy_into
from medlight.core.errors import reading
from medlight.runs.directory import LAST_CHECKPOINT_FILE

log = logging.getLogger(__name__)


class LastCheckpoint(pl.Callback):
    """Writes `last.ckpt` between two batches, when all that belongs to the past is done.

    After every epoch, every few minutes within one, on SIGTERM, and on Ctrl-C or an error where
    what the failed batch has changed can be taken back: no weight has moved yet, and buffers (the
    running statistics of normalisation) are kept from before the batch. Otherwise the file stays
    what it was. Either way a resumed run ends with the weights it would have had: order, patches,
    augmentation and dropout do not depend on history (`data.sampling`, `augment`, `Reseed`).

    On SIGTERM training ends after the batch at hand, with gradient accumulation after the step it
    belongs to; of several processes all end after the same one. A test ends at once.

    Args:
        dirpath: where to write.
        every_n_minutes: longest time of training between two checkpoints; None: only after epochs.
    """

    def __init__(self, *, dirpath: str | Path, every_n_minutes: float | None = 5.0) -> None:
        self.path = Path(dirpath) / LAST_CHECKPOINT_FILE
        self.every_n_minutes = every_n_minutes
        self._consistent_at: tuple[int, int] | None = None
        """(epoch, batches done) that the weights stand for now; None where that is no such pair."""
        self._saving: tuple[int, int] | None = None
        self._saved: tuple[int, int] | None = None
        self._saved_at = 0.0
        self._during_validation: tuple[int, int] | None = None
        self._in_batch = self._ended = False
        self._buffers: list[Tensor] = []
        self._means: dict[str, tuple[Tensor, Tensor]] = {}
        """As they were before the batch at hand."""
        self._resumed_state: dict[str, Any] = {}
        self._stop_requested = self._stop_immediately = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        missed, self._stop_requested = self._stop_requested, False
        self._stop_immediately = stage != "fit"
        if missed and self._stop_immediately:  # it came when the last batch was done
            raise SIGTERMException
        try:
            signal.signal(signal.SIGTERM, self._on_sigterm)
        except ValueError:  # not the main thread, which alone gets signals
            log.debug("SIGTERM is left to others")

    def _on_sigterm(self, *_: Any) -> None:
        self._stop_requested = True
        if self._stop_immediately:
            raise SIGTERMException

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._saved_at, self._saved = time.monotonic(), None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._consistent_at = (epochs_done(trainer), 0)
        if self._consistent_at[0] and not trainer.fit_loop.is_resuming:
            self._save(trainer, self._consistent_at)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._in_batch, self._consistent_at = True, None
        if batch_idx % trainer.accumulate_grad_batches:
            return
        self._consistent_at = (epochs_done(trainer), batch_idx)
        if self.every_n_minutes is not None and batch_idx:
            due = time.monotonic() - self._saved_at >= 60 * self.every_n_minutes
            if trainer.strategy.broadcast(due):
                self._save(trainer, self._consistent_at)
        self._means = epoch_means(trainer)
        buffers = list(pl_module.buffers())
        if buffers and len(buffers) == len(self._buffers):
            copy_into(self._buffers, buffers)
        else:
            self._buffers = [buffer.clone() for buffer in buffers]

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self._consistent_at = None

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._in_batch = False
        add_epoch_sums(trainer, self._resumed_state.pop("sums", {}))
        done = batch_idx + 1
        if done % trainer.accumulate_grad_batches == 0 and done < trainer.num_training_batches:
            self._consistent_at = (epochs_done(trainer), done)
            self._stop_if_requested(trainer)
        else:
            self._consistent_at = None

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._during_validation, self._consistent_at = self._consistent_at, None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._consistent_at = self._during_validation

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._consistent_at = None
        self._stop_if_requested(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._ended = True
        self._save(trainer, _position_at_end(trainer))
        self._consistent_at, self._ended = None, False

    def _stop_if_requested(self, trainer: pl.Trainer) -> None:
        """Lightning raises SIGTERMException between two batches, or after the epoch."""
        stop = self._stop_requested
        if trainer.world_size > 1:
            requested = torch.tensor(int(stop), device=trainer.strategy.root_device)
            dist.all_reduce(requested, op=dist.ReduceOp.MAX)
            stop = bool(requested)
        stop_after_batch(trainer, stop)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, SIGTERMException):
            self._stop_requested = False  # it is obeyed now
        if trainer.state.fn != TrainerFn.FITTING:
            return
        position = self._consistent_at
        epochs: Any = trainer.fit_loop.epoch_progress.current
        if isinstance(exception, SIGTERMException):
            if epochs.ready == epochs.completed:
                position = (epochs.completed, 0)
        elif trainer.world_size > 1:  # the other processes may be anywhere
            position = None
        if position and position != (0, 0):
            if self._in_batch:
                for buffer, before in zip(pl_module.buffers(), self._buffers, strict=True):
                    buffer.copy_(before)
                restore_epoch_means(trainer, self._means)
            self._save(trainer, position)
        if trainer.is_global_zero and self._saved:
            epoch, batch = self._saved
            place = f"batch {batch} of epoch {epoch + 1}" if batch else f"epoch {epoch}"
            run = shlex.quote(os.path.relpath(self.path.parent.parent))
            log.info("Stopped. To resume after %s: medlight resume=%s", place, run)

    def _save(self, trainer: pl.Trainer, position: tuple[int, int]) -> None:
        if position == self._saved:
            return
        part = self.path.with_suffix(".part")
        self._saving = position
        try:
            trainer.save_checkpoint(part)
            if trainer.is_global_zero:
                part.replace(self.path)
        finally:
            self._saving = None
            if trainer.is_global_zero:  # whose file it is
                part.unlink(missing_ok=True)  # the disk may be full
        self._saved, self._saved_at = position, time.monotonic()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        states = checkpoint["callbacks"]
        make_paths_relative(trainer, states)
        if self._saving is None:
            return
        epoch, batch = self._saving
        rewind(checkpoint["loops"]["fit_loop"], epoch=epoch, batch=batch, trainer=trainer)
        checkpoint["epoch"] = epoch
        states[self.state_key] = {
            # until the first batch after a resume has ended, all that is known is what came with it
            "sums": (self._resumed_state.get("sums") or epoch_sums(trainer)) if batch else {},
            "curves": [dict(curves.pending) for curves in _curves(trainer)] if batch else [],
            "stopped_early": trainer.should_stop,
            "cut_short": bool(batch) and self._ended,
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        with reading(self.path):
            make_paths_absolute(trainer, checkpoint["callbacks"])
        if trainer.state.fn == TrainerFn.FITTING:
            mine = checkpoint["callbacks"].get(self.state_key, {})
            self._resumed_state = dict(mine)
            reason = stop_reason(trainer, checkpoint["callbacks"])  # settles patience, too
            trainer.should_stop = bool(mine.get("stopped_early", False) and reason)
            if trainer.should_stop and trainer.is_global_zero:
                log.info("The run had stopped early: %s. Nothing is trained now", reason)
            more = not 0 <= trainer.max_steps <= checkpoint["global_step"]
            goes_on = more and not trainer.should_stop
            if mine.get("cut_short") and goes_on and trainer.is_global_zero:
                log.info(
                    "trainer.max_steps or max_time had ended the run within epoch %d. The rest of "
                    "it is trained now; from there on the numbers are not bit for bit those of a "
                    "run that was never stopped",
                    checkpoint["epoch"] + 1,
                )
            for curves, pending in zip(_curves(trainer), mine.get("curves", ()), strict=False):
                curves.pending = dict(pending)


def _position_at_end(trainer: pl.Trainer) -> tuple[int, int]:
    """Whole epochs and batches behind a training that has ended: trainer.max_steps and max_time
    end it within an epoch, which is then not whole."""
    epochs = epochs_done(trainer)
    batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    if epochs and 0 < batches < trainer.num_training_batches:
        return epochs - 1, batches - batches % trainer.accumulate_grad_batches
    return epochs, 0


def _curves(trainer: pl.Trainer) -> list[CurvesLogger]:
    return [each for each in trainer.loggers if isinstance(each, CurvesLogger)]
