"""`best.ckpt` is the best checkpoint, whatever the callback that chooses it calls its files."""

import re
import shutil
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn

from medlight.core.errors import ConfigError
from medlight.io.atomic import atomic_path
from medlight.runs.directory import BEST, LAST

BEST_CHECKPOINT_FILE = f"{BEST}.ckpt"


class BestCheckpoint(Checkpoint):
    """Keeps a copy of the best checkpoint under the name by which all verbs find it.

    Args:
        dirpath: where it lies.
    """

    def __init__(self, *, dirpath: str | Path) -> None:
        self.path = Path(dirpath) / BEST_CHECKPOINT_FILE
        self._copied: tuple[str, float] | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and stage == "fit":
                settle(callback)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._copy(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._copy(trainer)

    def _copy(self, trainer: pl.Trainer) -> None:
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        source = Path(best)
        fits = trainer.state.fn == TrainerFn.FITTING and trainer.is_global_zero
        if not (best and fits and source.is_file()):
            return
        state = (best, source.stat().st_mtime_ns)
        if source.absolute() != self.path.absolute() and state != self._copied:
            with atomic_path(self.path) as part:
                shutil.copyfile(source, part)
            self._copied = state


def settle(callback: ModelCheckpoint) -> None:
    """Give files that are kept side by side names of their own, in place.

    Raises:
        ConfigError: a setting would file other weights under the name of the best or the last.
    """
    name = callback.filename or ""
    refused = {
        "save_last": (callback.save_last, "last.ckpt is written by callbacks.last_checkpoint"),
        "filename": (name == LAST, "last.ckpt is written by callbacks.last_checkpoint"),
        "save_weights_only": (
            callback.save_weights_only,
            "predict and evaluate need what else is in a checkpoint",
        ),
    }
    for key, (given, why) in refused.items():
        if given:
            raise ConfigError(f"callbacks.checkpoint.{key}: {why}; leave {key} out")
    if callback.save_top_k not in (0, 1) and not re.search(r"\{step\b", name):
        callback.filename = f"{name}_step{{step}}" if name else None
