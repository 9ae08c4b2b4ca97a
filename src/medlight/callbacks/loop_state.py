"""Where in its loops a checkpoint says that a run is, in the one form that resumes exactly.

Lightning saves its counters as it finds them, in the midst of whatever called for a checkpoint, and
guesses on a resume what was meant. Here a checkpoint says how much is done, and nothing is under
way.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint

PROGRESS_COUNTERS = ("ready", "started", "processed", "completed")


def epochs_done(trainer: pl.Trainer) -> int:
    """Whole epochs of training behind the run."""
    counts: Any = trainer.fit_loop.epoch_progress.current
    return int(counts.processed)


def rewind(loops: dict[str, Any], *, epoch: int, batch: int, trainer: pl.Trainer) -> None:
    """Make the state of the fit loop say, in place: `batch` batches of `epoch` are done.

    Args:
        loops: what Lightning would save of its fit loop.
        epoch: number of whole epochs before; the next one where `batch` is 0.
        batch: number of its batches done on each rank.
        trainer: of the run.
    """
    begun = epoch + (batch > 0)
    for kind in ("total", "current"):
        counts = loops["epoch_progress"][kind]
        counts.update(ready=begun, started=begun, processed=epoch, completed=epoch)
    total = loops["epoch_loop.batch_progress"]["total"]
    total.update(dict.fromkeys(PROGRESS_COUNTERS, total["completed"]))
    loops["epoch_loop.batch_progress"]["current"].update(dict.fromkeys(PROGRESS_COUNTERS, batch))
    loops["epoch_loop.batch_progress"]["is_last_batch"] = False
    steps = loops["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    for progress in (loops["epoch_loop.scheduler_progress"], *steps.values()):
        for counts in progress.values():
            done = counts["completed" if "completed" in counts else "ready"]
            counts.update(dict.fromkeys(counts, done))
    for kind, counts in steps["zero_grad"].items():  # a batch that failed may have got that far
        counts.update(dict.fromkeys(counts, steps["step"][kind]["completed"]))
    for name, counts in loops["epoch_loop.val_loop.batch_progress"].items():
        if name in ("total", "current"):
            counts.update(dict.fromkeys(PROGRESS_COUNTERS, counts["completed"]))
    counted = batch if trainer.check_val_every_n_epoch else total["completed"]
    every = trainer.val_check_batch
    if batch and every and counted % every == 0 and trainer.enable_validation:
        # The validation is done. Lightning skips it, and counts the step again that led to it.
        loops["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1


def epoch_sums(trainer: pl.Trainer) -> dict[str, list[float]]:
    """What this epoch's means are made of so far: name to (sum, weight), the mean over ranks."""
    found = {}
    for name, metric in _mean_metrics(trainer).items():
        pair = torch.stack([metric.value.double(), metric.cumulated_batch_size.double()])
        if trainer.world_size > 1:
            dist.all_reduce(pair)
            pair /= trainer.world_size
        found[name] = pair.tolist()
    return found


def add_epoch_sums(trainer: pl.Trainer, before: Mapping[str, Iterable[float]]) -> None:
    """Go on with the means of an epoch that another process began."""
    for name, metric in _mean_metrics(trainer).items():
        if name in before:
            value, weight = before[name]
            metric.value = metric.value + value
            metric.cumulated_batch_size = metric.cumulated_batch_size + int(weight)


def epoch_means(trainer: pl.Trainer) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The same on this rank, as tensors that nobody else changes."""
    return {
        name: (metric.value.clone(), metric.cumulated_batch_size.clone())
        for name, metric in _mean_metrics(trainer).items()
    }


def restore_epoch_means(
    trainer: pl.Trainer, before: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
) -> None:
    """Go back to them; what was not there has nothing yet."""
    for name, metric in _mean_metrics(trainer).items():
        nothing = torch.zeros_like(metric.value), torch.zeros_like(metric.cumulated_batch_size)
        metric.value, metric.cumulated_batch_size = before.get(name, nothing)


def _mean_metrics(trainer: pl.Trainer) -> dict[str, Any]:
    results: dict[str, Any] = trainer.fit_loop.epoch_loop._results
    return {
        name: metric
        for name, metric in results.items()
        if metric.is_tensor and metric.meta.on_epoch and metric.meta.is_mean_reduction
        and metric.update_called and not metric.has_reset
    }  # fmt: skip


def make_paths_relative(trainer: pl.Trainer, states: Mapping[str, Any]) -> None:
    """Of the paths of other checkpoints keep the names: a run directory may move."""
    for state, _ in _model_checkpoints(trainer, states):
        state.update(_map_paths(state, lambda path: Path(path).name))
        state["dirpath"] = None


def make_paths_absolute(trainer: pl.Trainer, states: Mapping[str, Any]) -> None:
    """The inverse, where the run directory lies now."""
    for state, callback in _model_checkpoints(trainer, states):
        folder = callback.dirpath
        state.update(_map_paths(state, lambda path: str(Path(folder) / Path(path).name)))  # noqa: B023
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
