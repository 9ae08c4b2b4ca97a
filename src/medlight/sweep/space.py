"""Search spaces in Hydra's words: lists, ranges, and intervals with or without a logarithm."""

from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

DIGITS = 4
"""Of a number from an interval: nobody needs a learning rate of 0.0031622776601683795."""


def suggest(trial: Any, space: Mapping[str, Override]) -> list[str]:
    """Ask an Optuna trial for a value of each key; overrides."""
    return [f"{key}={_value(trial, key, override)}" for key, override in space.items()]


def _value(trial: Any, key: str, override: Override) -> Any:
    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(key, low, high, log=log)
        return f"{trial.suggest_float(key, low, high, log=log):.{DIGITS}g}"
    if isinstance(value, RangeSweep):
        numbers = value.range()
        if isinstance(numbers, range) and numbers:
            return trial.suggest_int(key, numbers[0], numbers[-1], step=numbers.step)
    return trial.suggest_categorical(key, [str(each) for each in override.sweep_string_iterator()])
