"""Where in its loops a checkpoint says that a run is, in the one form that resumes exactly.

Lightning saves its counters as it finds them, in the midst of whatever called for a checkpoint, and
guesses on a resume what was meant. Here a checkpoint says how much is done, and nothing is under
way.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint

from medlight.compat.lightning import mean_metrics


def epochs_done(trainer: pl.Trainer) -> int:
    """Whole epochs of training behind the run."""
    counts: Any = trainer.fit_loop.epoch_progress.current
    return int(counts.processed)


def epoch_sums(trainer: pl.Trainer) -> dict[str, list[float]]:
    """What this epoch's means are made of so far: name to (sum, weight), the mean over ranks."""
    found = {}
    for name, metric in mean_metrics(trainer).items():
        pair = torch.stack([metric.value.double(), metric.cumulated_batch_size.double()])
        if trainer.world_size > 1:
            dist.all_reduce(pair)
            pair /= trainer.world_size
        found[name] = pair.tolist()
    return found


def add_epoch_sums(trainer: pl.Trainer, before: Mapping[str, Iterable[float]]) -> None:
    """Go on with the means of an epoch that another process began."""
    for name, metric in mean_metrics(trainer).items():
        if name in before:
            value, weight = before[name]
            metric.value = metric.value + value
            metric.cumulated_batch_size = metric.cumulated_batch_size + int(weight)


def epoch_means(trainer: pl.Trainer) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The same on this rank, as tensors that nobody else changes."""
    return {
        name: (metric.value.clone(), metric.cumulated_batch_size.clone())
        for name, metric in mean_metrics(trainer).items()
    }


def restore_epoch_means(
    trainer: pl.Trainer, before: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
) -> None:
    """Go back to them; what was not there has nothing yet."""
    for name, metric in mean_metrics(trainer).items():
        nothing = torch.zeros_like(metric.value), torch.zeros_like(metric.cumulated_batch_size)
        metric.value, metric.cumulated_batch_size = before.get(name, nothing)


def make_paths_relative(trainer: pl.Trainer, states: Mapping[str, Any]) -> None:
    """Of the paths of other checkpoints keep what their folder holds: a run directory may move."""
    for state, callback in _model_checkpoints(trainer, states):
        folder = callback.dirpath
        state.update(_map_paths(state, lambda path: os.path.relpath(path, folder)))  # noqa: B023
        state["dirpath"] = None


def make_paths_absolute(trainer: pl.Trainer, states: Mapping[str, Any]) -> None:
    """The inverse, where the run directory lies now."""
    for state, callback in _model_checkpoints(trainer, states):
        folder = callback.dirpath
        state.update(_map_paths(state, lambda path: str(Path(folder) / path)))  # noqa: B023
        state["dirpath"] = folder


def _model_checkpoints(
    trainer: pl.Trainer, states: Mapping[str, Any]
) -> list[tuple[dict[str, Any], Any]]:
    kept: list[Checkpoint] = trainer.checkpoint_callbacks
    return [
        (states[each.state_key], each)
        for each in kept
        if isinstance(each, ModelCheckpoint) and each.state_key in states
    ]


def _map_paths(state: Mapping[str, Any], place: Any) -> dict[str, Any]:
    paths = ("best_model_path", "kth_best_model_path", "last_model_path")
    best = {place(path): score for path, score in state["best_k_models"].items()}
    return {**{key: state[key] and place(state[key]) for key in paths}, "best_k_models": best}
