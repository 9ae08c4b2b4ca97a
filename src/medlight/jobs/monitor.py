"""What callbacks of a training go by must be there: found out before the first epoch."""

import difflib
from collections.abc import Iterator

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from medlight.core.errors import ConfigError
from medlight.tasks.base import Task

MODES = {"higher": "max", "lower": "min"}
TRAINING_LOSSES = ("train/loss", "train/loss_step", "train/loss_epoch")
OWN_ROOTS = ("medlight", "pytorch_lightning")


def check_monitors(task: Task, trainer: pl.Trainer) -> None:
    """Check that the scores that callbacks watch exist, and that they know which way is better.

    A task or a callback that is not ours may log others.

    Raises:
        ConfigError: there is no such score, or `mode` takes its worst for the best.
    """
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    known = {name: metric.direction for name, metric in task.validation_scores().items()}
    known |= dict.fromkeys(TRAINING_LOSSES, "lower")
    foreign = any(type(each).__module__.partition(".")[0] not in OWN_ROOTS
                  for each in (task, *callbacks))  # fmt: skip
    for key, name, mode in _monitors(callbacks):
        if mode not in ("min", "max", None):
            raise ConfigError(f"mode is min or max, got {mode}")
        if name not in known and not foreign:
            shown = [n for n in known if "/" not in n.partition("/")[2]]
            near = difflib.get_close_matches(name, known, n=3) or shown
            raise ConfigError(
                f"no validation gives {name}, which {key} goes by; did you mean "
                f"metric={' or '.join(near)}?"
            )
        right = MODES.get(known.get(name, ""), mode)
        if mode is not None and mode != right:
            raise ConfigError(
                f"{key}: {name} is better {known[name]}, and mode={mode} would take the worst "
                f"for the best; give mode={right}"
            )
    stopping = next((each for each in callbacks if isinstance(each, EarlyStopping)), None)
    if stopping and trainer.limit_val_batches == 0 and not stopping.monitor.startswith("train/"):
        raise ConfigError(
            "callbacks=early_stopping watches validation cases, and trainer.limit_val_batches=0 "
            "leaves none: leave one of them out"
        )


def _monitors(callbacks: list[pl.Callback]) -> Iterator[tuple[str, str, str | None]]:
    """Callback, the score that it watches, and its mode."""
    for each in callbacks:
        name = getattr(each, "monitor", None) or getattr(each, "metric", None)
        if isinstance(name, str):
            yield type(each).__name__, name, getattr(each, "mode", None)
