"""Whether a run has seen all of its data: one that has not is a try-out, and no result."""

from typing import Any

import pytorch_lightning as pl


def left_out_of_training(trainer: pl.Trainer) -> list[str]:
    """Say which settings keep a training from all of its training and validation cases.

    Returns:
        Settings as typed; empty if nothing is left out.
    """
    overfit = trainer.overfit_batches  # type: ignore[attr-defined]
    if overfit:
        return [f"trainer.overfit_batches={overfit}"]
    found = []
    given = trainer.train_dataloader
    if given is not None and trainer.num_training_batches < _length(given):
        found.append(f"limit_train_batches={trainer.limit_train_batches}")
    validates = trainer.limit_val_batches != 0 and trainer.val_dataloaders is not None
    if trainer.limit_val_batches == 0 or (
        validates and sum(_numbers(trainer.num_val_batches)) < _length(trainer.val_dataloaders)
    ):
        found.append(f"limit_val_batches={trainer.limit_val_batches}")
    return _named(trainer, found)


def left_out_of_test(trainer: pl.Trainer) -> list[str]:
    """Say which settings keep a test from all of its cases."""
    tested = sum(_numbers(trainer.num_test_batches))
    part = trainer.test_dataloaders is not None and tested < _length(trainer.test_dataloaders)
    found = [f"limit_test_batches={trainer.limit_test_batches}"] if part else []
    return _named(trainer, found)


def is_less_than_an_epoch(trainer: pl.Trainer) -> bool:
    """Whether trainer.max_steps or max_time ended a training within its first epoch."""
    batches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
    return batches < trainer.num_training_batches


def _named(trainer: pl.Trainer, found: list[str]) -> list[str]:
    fast = trainer.fast_dev_run  # type: ignore[attr-defined]
    return [f"trainer.{each}" for each in (["fast_dev_run"] if fast else found)]


def _numbers(batches: Any) -> list[float]:
    return list(batches) if isinstance(batches, list | tuple) else [batches]


def _length(loaders: Any) -> int:
    return sum(map(len, loaders)) if isinstance(loaders, list | tuple) else len(loaders)
