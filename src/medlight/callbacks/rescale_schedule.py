"""What the learning rate does in a run that resumes with another length."""

import logging
import warnings
from typing import Any

import pytorch_lightning as pl

log = logging.getLogger(__name__)


class RescaleSchedule(pl.Callback):
    """A schedule spans the run. Where a resumed run is longer or shorter than it was planned
    (`resume=... trainer.max_epochs=...`), its schedule spans the new length, as if planned so from
    the start, and the screen says so with the rates.

    The rate jumps then: a cosine that has come down to zero after 50 of 50 epochs goes on in the
    middle of one over 100. To stay at the end would be to train at zero; to begin again would be
    another schedule.
    """

    def __init__(self) -> None:
        self._planned: dict[str, Any] = {}

    @property
    def state_key(self) -> str:
        """Checkpoints of earlier versions hold its state under this name."""
        return "Stretch"

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["callbacks"][self.state_key] = {"steps": _steps(trainer)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._planned = dict(state_dict)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        before, now = self._planned.pop("steps", None), _steps(trainer)
        schedule: Any = getattr(pl_module, "schedule", None)
        if before in (None, now):
            return
        optimizer = trainer.optimizers[0]
        rate = optimizer.param_groups[0]["lr"]
        if schedule is None or not trainer.lr_scheduler_configs:
            said = f"the learning rate stays at {rate:.3g}: it has no schedule"
        else:
            (config,) = trainer.lr_scheduler_configs
            done = config.scheduler.last_epoch
            for group in optimizer.param_groups:
                initial = group.pop("initial_lr", group["lr"])
                group["lr"] = group.pop("max_lr", initial)  # 1cycle begins below the optimizer's
            config.scheduler = again = schedule(optimizer, total_steps=now)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", r".*lr_scheduler\.step\(\)` before")
                for _ in range(done):
                    again.step()
            said = (
                "the schedule spans them as if planned so from the start: the learning rate goes "
                f"on at {optimizer.param_groups[0]['lr']:.3g} instead of {rate:.3g}"
            )
        if trainer.is_global_zero:
            log.info("%s steps instead of %s: %s", now, before, said)


def _steps(trainer: pl.Trainer) -> int:
    return int(trainer.estimated_stepping_batches)
