"""Lightning's loops, its signal handling and how it starts further processes, from within."""

import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytorch_lightning as pl

PROGRESS_COUNTERS = ("ready", "started", "processed", "completed")


def stop_after_batch(trainer: "pl.Trainer", stop: bool) -> None:
    """Say whether Lightning is to raise SIGTERMException when the batch or epoch at hand ends.

    `Trainer._signal_connector.received_sigterm`: set by Lightning's own handler, which knows
    nothing of gradient accumulation or of the other processes.
    """
    trainer._signal_connector.received_sigterm = stop


def start_ranks_from(module: str) -> None:
    """Let the further processes of a job begin as `python -m module <arguments of this one>`.

    `__main__.__spec__`: what Lightning makes the command of, and wrong in a forked process.
    """
    import __main__

    __main__.__spec__ = importlib.util.find_spec(module)


def mean_metrics(trainer: "pl.Trainer") -> dict[str, Any]:
    """Return what the training epoch so far has logged as a mean: name to Lightning's metric.

    `_TrainingEpochLoop._results`: its sums and weights are what a checkpoint within an epoch must
    keep, and Lightning's own leaves them out.
    """
    results: dict[str, Any] = trainer.fit_loop.epoch_loop._results
    return {
        name: metric
        for name, metric in results.items()
        if metric.is_tensor and metric.meta.on_epoch and metric.meta.is_mean_reduction
        and metric.update_called and not metric.has_reset
    }  # fmt: skip


def rewind(loops: dict[str, Any], *, epoch: int, batch: int, trainer: "pl.Trainer") -> None:
    """Make the state of the fit loop say, in place: `batch` batches of `epoch` are done.

    The names of Lightning's loops and their counters, as a checkpoint has them. Lightning saves
    its counters in the midst of whatever called for a checkpoint, and guesses on a resume what
    was meant.

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
