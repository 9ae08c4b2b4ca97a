"""Why a run that had stopped early would stop again under the settings of its resume."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, Timer

STOPPERS = (EarlyStopping.__name__, Timer.__name__)


def stop_reason(trainer: pl.Trainer, states: Mapping[str, Any]) -> str | None:
    """Say why a run that had stopped early stays stopped.

    Args:
        trainer: of the resume, with its callbacks.
        states: of callbacks, as a checkpoint holds them. The patience
            in them is replaced by that of the resume.

    Returns:
        The reason with what to type, or None: it goes on.
    """
    known = [key for key in states if key.startswith(STOPPERS)]
    reasons = []
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        state = states.get(callback.state_key)
        if state is None:
            continue
        if isinstance(callback, EarlyStopping):
            waited = int(state["wait_count"])
            state["patience"] = callback.patience
            if waited >= callback.patience:
                reasons.append(
                    f"no better {callback.monitor} in {waited} validations; give a larger "
                    "callbacks.early_stopping.patience, or ~callbacks.early_stopping"
                )
            elif _reached(callback, state):
                reasons.append(
                    f"{callback.monitor} had reached {callback.stopping_threshold}; give another "
                    "callbacks.early_stopping.stopping_threshold, or ~callbacks.early_stopping"
                )
            else:
                state["stopped_epoch"] = 0
        elif isinstance(callback, Timer):
            spent = float(state["time_elapsed"].get("train", 0.0))
            left = callback.time_remaining()  # of the limit, before the time of the checkpoint
            if left is not None and spent >= left + callback.time_elapsed():
                limit = left + callback.time_elapsed()
                reasons.append(
                    f"its {limit:.0f} s of training are used up (trainer.max_time is of the whole "
                    "run); give more, or trainer.max_time=null"
                )
    if reasons:
        return "; ".join(reasons)
    return None if known else "a callback had stopped it"


def _reached(callback: EarlyStopping, state: Mapping[str, Any]) -> bool:
    threshold = callback.stopping_threshold
    return threshold is not None and bool(callback.monitor_op(state["best_score"], threshold))
