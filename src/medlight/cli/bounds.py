"""What numbers a setting takes: one table, checked before anything is built."""

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from omegaconf import DictConfig, ListConfig, OmegaConf

from medlight.core.errors import ConfigError


class Range(NamedTuple):
    """The least and the largest number, and what else a setting may be.

    Attributes:
        above, below: the ends themselves are outside.
        whole: no fractions.
    """

    low: float = 0
    high: float = math.inf
    others: tuple[object, ...] = ()
    above: bool = False
    below: bool = False
    whole: bool = False

    def holds(self, value: float) -> bool:
        """Say whether a number is in it."""
        if not self.low <= value <= self.high or (self.whole and value != int(value)):
            return False
        return not (self.above and value == self.low) and not (self.below and value == self.high)

    def __str__(self) -> str:
        low = "above" if self.above else "at least"
        high = f" and {'below' if self.below else 'at most'} {self.high:g}"
        others = "".join(f", or {'null' if v is None else v}" for v in self.others)
        kind = "whole and " if self.whole else ""
        return f"{kind}{low} {self.low:g}{high if self.high < math.inf else ''}{others}"


SHARE, PART = Range(0, 1), Range(0, 1, below=True)
POSITIVE, NOT_NEGATIVE = Range(above=True), Range()
COUNT, COUNT_OR_NONE = Range(1, whole=True), Range(1, others=(None,), whole=True)
NUMBER = Range(whole=True)

RANGES = {
    "seed": Range(0, 2**32 - 1, whole=True),
    "data.seed": Range(0, 2**32 - 1, (None,), whole=True),
    "data.batch_size": COUNT,
    "data.eval_batch_size": COUNT,
    "data.epoch_samples": COUNT_OR_NONE,
    "data.num_workers": Range(0, others=(None,), whole=True),
    "data.n_cases": COUNT,
    "data.group_size": COUNT,
    "data.patch": COUNT,
    "*.tolerance_mm": NOT_NEGATIVE,
    "transforms.spacing_mm": POSITIVE,
    "transforms.size": COUNT,
    "augment.*probability": SHARE,
    "augment.*.gamma": POSITIVE,
    "augment.*.zoom": Range(0, 1, above=True),
    "augment.*.multiplier": NOT_NEGATIVE,
    "augment.*.std": NOT_NEGATIVE,
    "augment.*.sigma": NOT_NEGATIVE,
    "augment.*.magnitude": NOT_NEGATIVE,
    "augment.*.num_cells": COUNT,
    "augment.*.translate": SHARE,
    "store.*_gb": NOT_NEGATIVE,
    "store.num_workers": COUNT_OR_NONE,
    "model.*drop*": PART,
    "loss.label_smoothing": SHARE,
    "loss.lambda_*": NOT_NEGATIVE,
    "loss.alpha": NOT_NEGATIVE,
    "loss.beta": NOT_NEGATIVE,
    "loss.gamma": NOT_NEGATIVE,
    "optimizer.lr": POSITIVE,
    "optimizer.eps": POSITIVE,
    "optimizer.weight_decay": NOT_NEGATIVE,
    "optimizer.momentum": PART,
    "optimizer.betas": PART,
    "schedule.warmup": SHARE,
    "schedule.pct_start": SHARE,
    "schedule.power": NOT_NEGATIVE,
    "schedule.*div_factor": POSITIVE,
    "inference.overlap": PART,
    "inference.batch_size": COUNT_OR_NONE,
    "trainer.max_epochs": Range(1, others=(None, -1), whole=True),
    "trainer.max_steps": Range(1, others=(-1,), whole=True),
    "trainer.accumulate_grad_batches": COUNT,
    "trainer.check_val_every_n_epoch": COUNT_OR_NONE,
    "trainer.gradient_clip_val": Range(others=(None,)),
    "trainer.log_every_n_steps": Range(others=(None,), whole=True),
    "callbacks.ema.decay": PART,
    "callbacks.early_stopping.patience": NUMBER,
    "callbacks.last_checkpoint.every_n_minutes": Range(others=(None,)),
    "callbacks.checkpoint.save_top_k": Range(-1, whole=True),
    "callbacks.*.max_cases": NUMBER,
    "callbacks.selective.show": NUMBER,
    "job.max_cases": NUMBER,
    "job.seconds": POSITIVE,
    "job.num_processes": COUNT_OR_NONE,
}
"""Dotted keys, with * for any part, to what each number of theirs may be."""


def check_bounds(cfg: DictConfig) -> None:
    """Check numbers whose constructors refuse them late, in a traceback, or not at all.

    Raises:
        ConfigError: a number is out of its range, or is none; says which.
    """
    for key, value in _numbers(cfg, ""):
        if math.isnan(value):
            raise ConfigError(f"{key} must be a number, got nan")
        for pattern, allowed in RANGES.items():
            if fnmatchcase(key, pattern) and value not in allowed.others:
                if isinstance(value, bool) or not allowed.holds(value):
                    raise ConfigError(f"{key} must be {allowed}, got {value}")
                break


def _numbers(node: Any, path: str) -> Iterator[tuple[str, float]]:
    """All numbers that are written in a configuration; one of a list has the key of the list."""
    listed = isinstance(node, ListConfig)
    for key in range(len(node)) if listed else node:
        if OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key):
            continue
        value, name = node[key], path if listed else f"{path}.{key}".lstrip(".")
        if isinstance(value, DictConfig | ListConfig):
            yield from _numbers(value, name)
        elif isinstance(value, int | float):
            yield name, value
