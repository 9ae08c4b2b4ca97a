"""What every task shares: optimisation, logging, and rows of cases, from which scores come."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from medlight.core.case_result import CaseResult, Row
from medlight.core.data_spec import DataSpec, NeedsSpec
from medlight.core.errors import ConfigError, NonFiniteError
from medlight.core.outcome import Metric
from medlight.metrics.names import COUNTS
from medlight.nets.build import build, enable_gradient_checkpointing
from medlight.runs.directory import NON_FINITE_FILE
from medlight.tasks.finite import (
    ON_NAN,
    FiniteFlag,
    cases_not_finite,
    nan_unless_finite,
    save_batch,
)
from medlight.tasks.outcome import Outcome
from medlight.tasks.ranks import all_reduce_mean, gather_rows
from medlight.tasks.schedule import build_optimizer

if TYPE_CHECKING:
    from medlight.tasks.trained_model import TrainedModel

log = logging.getLogger(__name__)

Batch = Mapping[str, Any]


@dataclass(kw_only=True, eq=False, repr=False)
class Task(pl.LightningModule, ABC):
    """A net with a loss, an optimizer and a way to score whole cases.

    A subclass adds settings of its own as fields, and what follows from them in `__post_init__`.

    Attributes:
        net: partial of a net, called with what the facts say of the data (see `nets.build`). From
            then on the net itself.
        spec: what the data says of itself.
        loss: (output, target) to a scalar.
        optimizer: partial of an optimizer; called with the parameters.
        schedule: partial of a learning-rate schedule; called with the optimizer and
            `total_steps`; stepped after every optimizer step. None: constant.
        channels_last: keep weights and images channels last, which is faster on most devices.
        compiled: compile the net with torch.compile, on its first batch. Checkpoints are the same.
        gradient_checkpointing: compute the net's blocks again on the way back instead of keeping
            what they computed: less memory, more time.
        on_nan: at a loss or an output that is nan or infinite in training, "stop" before a weight
            moves, with an error that names the cases and a file that reproduces it; "skip": such a
            batch adds no gradient, and is counted. Of several processes, all do the same.
    """

    net: Any
    spec: DataSpec
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW
    schedule: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None
    channels_last: bool = True
    compiled: bool = False
    gradient_checkpointing: bool = False
    on_nan: Literal["stop", "skip"] = "stop"

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """Torch registers modules as they are set, so it must be ready before the fields are."""
        task = super().__new__(cls)
        pl.LightningModule.__init__(task)
        return task

    def __post_init__(self) -> None:
        spec = self.spec
        if self.on_nan not in ON_NAN:
            raise ConfigError(f"task.on_nan is stop or skip, got {self.on_nan}")
        self.check_data(spec)
        if isinstance(self.loss, NeedsSpec):
            self.loss.bind(spec)
        self.net = build(self.net, spec, out_channels=self.out_channels)
        if self.gradient_checkpointing:
            enable_gradient_checkpointing(self.net)
        self.memory_format = torch.contiguous_format
        if self.channels_last:
            last = (torch.channels_last, torch.channels_last_3d)
            self.memory_format = last[spec.spatial_dims - 2]
            self.net.to(memory_format=self.memory_format)
        self.outcome = self.build_outcome()
        self.nets: Sequence[Callable[[Tensor], Tensor]] = (self,)
        self.skipped_batches = self._skipped_of_step = 0
        self._output_sum: Tensor | None = None
        self._finite: FiniteFlag | None = None
        self._rows: list[Row] = []
        self.validation_rows: list[Row] = []
        self.test_rows: list[Row] = []

    @classmethod
    @abstractmethod
    def check_data(cls, spec: DataSpec) -> None:
        """Refuse data this task cannot learn from, with a ConfigError."""

    @property
    def out_channels(self) -> int:
        """Of the net: one for each label."""
        return len(self.spec.labels)

    @abstractmethod
    def build_outcome(self) -> Outcome:
        """What a finished case of this task is; called once, when the net is built."""

    @abstractmethod
    def step(self, batch: Batch) -> Tensor:
        """The loss of a training batch."""

    @abstractmethod
    def infer(self, batch: Batch) -> list[CaseResult]:
        """Predict whole cases, and score them where the truth is known."""

    def validation_scores(self) -> dict[str, Metric]:
        """Name to metric of what a validation may log, as "val/dice" and "val/dice/liver"."""
        spec, named = self.outcome.spec, {}
        for name, metric in spec.metrics.items():
            for each in (name, *(f"{name}/{label}" for label in spec.classes)):
                named[f"val/{each}"] = metric
        return named

    def decide(self, output: Tensor) -> Tensor | None:
        """(K, *S) output of the net for one image to the labels it stands for; None if it stands
        for numbers. An exported net is held against the checkpoint by them."""
        return None

    def calibrate(self, temperature: float) -> None:
        """Divide the logits of whole cases by a temperature from now on; for classifiers."""
        raise ConfigError(f"{type(self).__name__} has no probabilities to calibrate")

    def join(self, models: "Sequence[TrainedModel]") -> None:
        """Let other trained nets predict whole cases together in place of the task's own."""
        self.nets = [each.net for each in models]

    def use_choices(self, run_dir: Path) -> None:
        """Take over what the validation cases of a run chose for its predictions, if anything."""

    def setup(self, stage: str) -> None:
        if self.compiled:
            self.net.compile()

    def watch_output(self, output: Tensor) -> None:
        """Call from `step` with what the net gave: nan and infinity in it count as in the loss."""
        self._output_sum = output.detach().sum(dtype=torch.float32)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self._skipped_of_step = 0
        buffers = [each.clone() for each in self.net.buffers()] if self.on_nan == "skip" else []
        self._output_sum = None
        loss = self.step(batch)
        self._own_loss = nan_unless_finite(loss.detach(), self._output_sum)
        told = all_reduce_mean(self._own_loss)
        self._finite = FiniteFlag(told)
        if self.on_nan == "skip" and not self._finite:
            return self._skip(batch, buffers)
        self.log(
            "train/loss",
            told,
            on_step=True,
            on_epoch=True,
            prog_bar=True,
            batch_size=len(batch["image"]),
        )
        self._batch = batch
        return self._share_of_step(loss, batch_idx)

    def _share_of_step(self, loss: Tensor, batch_idx: int) -> Tensor:
        """Lightning divides by `accumulate_grad_batches`; the last step of an epoch may be of
        fewer batches."""
        whole, batches = self.trainer.accumulate_grad_batches, self._batches_of_step(batch_idx)
        return loss if batches == whole else loss * (whole / batches)

    def _batches_of_step(self, batch_idx: int) -> int:
        whole = self.trainer.accumulate_grad_batches
        return int(min(whole, self.trainer.num_training_batches - batch_idx // whole * whole))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide by the batches that counted. Where none did, weights have no gradient, so that
        neither momentum nor decay moves them."""
        if not self._skipped_of_step:
            return
        batches = self._batches_of_step(self.trainer.fit_loop.batch_idx)
        counted = batches - self._skipped_of_step
        for weight in self.net.parameters():
            if not counted:
                weight.grad = None
            elif weight.grad is not None:
                weight.grad *= batches / counted

    def on_after_backward(self) -> None:
        finite, self._finite, batch = self._finite, None, self.__dict__.pop("_batch", {})
        if finite is not None and not finite:
            raise self._non_finite_error(batch)

    def _skip(self, batch: Batch, buffers: Sequence[Tensor]) -> Tensor:
        """A loss without a gradient, and the running statistics from before the batch."""
        for buffer, before in zip(self.net.buffers(), buffers, strict=True):
            buffer.copy_(before)
        nothing = torch.stack([(0 * each).sum() for each in self.net.parameters()]).sum()
        self._finite = None
        if not torch.isfinite(nothing):  # the weights themselves: no batch will ever do
            raise self._non_finite_error(batch)
        self.skipped_batches += 1
        self._skipped_of_step += 1
        cases = cases_not_finite(self._own_loss, batch)
        if self.trainer.is_global_zero:
            step = self.trainer.global_step + 1
            log.warning("step %d: the loss is not finite; batch skipped (%s)", step, cases)
        return nothing

    def _non_finite_error(self, batch: Batch) -> NonFiniteError:
        trainer = self.trainer
        place = {
            "step": trainer.global_step + 1,
            "epoch": trainer.current_epoch + 1,
            "batch_of_epoch": trainer.fit_loop.batch_idx + 1,
        }
        shown = path = Path(trainer.default_root_dir) / NON_FINITE_FILE
        if trainer.world_size > 1:
            shown = path.with_stem(f"{path.stem}_rank*")
            path = path.with_stem(f"{path.stem}_rank{trainer.global_rank}")
        if not torch.isfinite(self._own_loss) or trainer.world_size == 1:
            save_batch(path, batch, self.state_dict(), **place)
        cases = cases_not_finite(self._own_loss, batch)
        return NonFiniteError(
            f"the loss or the net's output is not finite at step {place['step']} (batch "
            f"{place['batch_of_epoch']} of epoch {place['epoch']}; cases {cases}); {shown} holds "
            "the batch and the weights. Lower optimizer.lr, look at these cases, or type "
            "task.on_nan=skip to leave such batches out"
        )

    def on_validation_epoch_start(self) -> None:
        self._rows = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.test_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.validation_rows = gather_rows(self._rows)
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            return  # a job wants the rows; they are no step of a curve
        scores = self.outcome.summarise(self.validation_rows)
        named = {
            f"val/{name}": value
            for name, value in scores.items()
            if name.partition("/")[0] not in COUNTS
        }
        self.log_dict(named)  # of the rows of all ranks, so the same on each

    def on_test_epoch_start(self) -> None:
        self._rows = []

    def on_test_epoch_end(self) -> None:
        self.test_rows = gather_rows(self._rows)

    def test_step(  # type: ignore[override]  # callbacks want results, Lightning wants nothing
        self, batch: Batch, batch_idx: int
    ) -> list[CaseResult]:
        results = [] if "padding" in batch else self.infer(batch)
        self._rows += [row for result in results for row in result.rows]
        return results

    def predict_step(self, batch: Batch, batch_idx: int) -> list[CaseResult]:
        return [] if "padding" in batch else self.infer(batch)

    def configure_optimizers(self) -> Any:
        uses_grad_scaler = self.trainer.precision == "16-mixed"
        optimizer = build_optimizer(
            self.optimizer, self.net.parameters(), uses_grad_scaler=uses_grad_scaler
        )
        if self.schedule is None:
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise ConfigError(
                "a schedule must know the number of steps: set trainer.max_epochs or "
                "trainer.max_steps"
            )
        total = max(1, int(steps))
        scheduler = self.schedule(optimizer, total_steps=total)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
