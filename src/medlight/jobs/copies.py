"""Test cases whose voxels, as the net sees them, are those of a case that was learnt from."""

import logging
from collections.abc import Sequence

import pytorch_lightning as pl

from medlight.data.datamodule import DataModule
from medlight.io.store.stored_cases import StoredCases

log = logging.getLogger(__name__)


def check_copies(data: DataModule, trainer: pl.Trainer) -> None:
    """Warn of copies across the split, from what training and test have opened.

    Args:
        data: whose training cases are prepared.
        trainer: that has tested.
    """
    datasets = [getattr(loader, "dataset", None) for loader in
                (trainer.val_dataloaders, trainer.test_dataloaders)]  # fmt: skip
    validated, tested = (getattr(dataset, "stored", None) for dataset in datasets)
    if tested is not None:
        warn_of_copies([data.train_cases, *([validated] if validated is not None else [])], tested)


def warn_of_copies(learnt: Sequence[StoredCases], tested: StoredCases) -> None:
    """Say how many test cases are copies: compressed again, turned, or of another type of number.

    Args:
        learnt: training and validation cases.
        tested: test cases.
    """
    case_of = {
        key: case
        for stored in learnt
        for key, case in zip(stored.image_keys, stored.cases, strict=True)
        if key is not None
    }
    pairs = [
        (case_of[key], case)
        for key, case in zip(tested.image_keys, tested.cases, strict=True)
        if key in case_of
    ]
    if pairs:
        log.warning(
            "%d of %d test cases have the same voxels as cases of training or validation, such as "
            "%s and %s: scores are flattered; give copies one patient by data.patient=, or leave "
            "all but one of each out by data.exclude=",
            len(pairs),
            len(tested),
            *pairs[0],
        )
