"""Settings averaged over what repeats them, seeds and folds: how much of a difference is chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from medlight.report.console_table import console_table
from medlight.runs.config_keys import Role, key_role
from medlight.runs.files import csv_text
from medlight.sweep.job import DONE
from medlight.sweep.job_names import override_values, setting_columns
from medlight.sweep.ranking import DASH, RankedJob

Pairs = tuple[tuple[str, str], ...]
LEVEL, NUMBERS_WIDTH = 0.95, 80


@dataclass(frozen=True, slots=True)
class AveragedSetting:
    """One setting over its repeats.

    Attributes:
        setting: key to value of what sets it apart.
        scores, test_scores: best validation score and test score of each repeat; nan where unknown.
        differences: of `scores` to the reference's with the same seed and fold.
    """

    setting: dict[str, str]
    scores: list[float]
    test_scores: list[float]
    differences: list[float]


def averages(entries: Sequence[RankedJob]) -> list[AveragedSetting]:
    """One for each setting, in the order of `entries`; empty where nothing is repeated.

    The first one is the reference, whose differences are empty.
    """
    found: dict[Pairs, dict[Pairs, RankedJob]] = {}
    for each in entries:
        if each.status.state == DONE and not math.isnan(each.score):
            said = override_values(each.status.overrides)
            repeat, setting = (
                tuple((k, v) for k, v in said.items() if (key_role(k) is Role.REPEAT) is repeats)
                for repeats in (True, False)
            )
            found.setdefault(setting, {})[repeat] = each
    if not any(len(repeats) > 1 for repeats in found.values()):
        return []
    first = next(iter(found.values()))
    return [
        AveragedSetting(
            setting=dict(setting),
            scores=[each.score for each in repeats.values()],
            test_scores=[each.test for each in repeats.values()],
            differences=[
                each.score - first[key].score
                for key, each in repeats.items()
                if repeats is not first and key in first
            ],
        )
        for setting, repeats in found.items()
    ]


def t_interval(differences: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean by Student's t; nan with fewer than two."""
    if len(differences) < 2:
        return math.nan, math.nan
    from scipy.stats import t

    freedom = len(differences) - 1
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    reach = float(t.ppf((1 + LEVEL) / 2, freedom)) * error
    middle = float(np.mean(differences))
    return middle - reach, middle + reach


def averages_csv(averaged: Sequence[AveragedSetting]) -> str:
    """Give what the table shows, in full."""
    keys = list(averaged[0].setting)
    columns = ["n", "val_mean", "val_std", "test_mean", "test_std"]
    columns += ["difference", "difference_low", "difference_high"]
    rows = [
        [*(each.setting.get(key, "") for key in keys), len(each.scores), *_spread(each.scores),
         *_spread(each.test_scores), _mean(each.differences), *t_interval(each.differences)]
        for each in averaged
    ]  # fmt: skip
    return csv_text([*keys, *columns], rows)


def averages_table(averaged: Sequence[AveragedSetting], metric: str, *, width: int) -> Table:
    names, settings = setting_columns(
        [each.setting for each in averaged], room=width - NUMBERS_WIDTH
    )
    test = f"test/{metric.partition('/')[2]}"
    apart = ["against the first (95 % interval)"] if len(averaged) > 1 else []
    rows, styles = [], []
    for each, setting in zip(averaged, settings, strict=True):
        low, high = t_interval(each.differences)
        far = f"{_mean(each.differences):+.4f} ({low:+.3f} to {high:+.3f})"
        rows.append(
            [
                *setting,
                str(len(each.scores)),
                *(_shown(numbers) for numbers in (each.scores, each.test_scores)),
                *(far if each.differences else DASH for _ in apart),
            ]
        )
        styles.append("bold" if not math.isnan(low) and low * high > 0 else "")
    return console_table(
        "Over seeds and folds, mean \N{PLUS-MINUS SIGN} SD",
        [*names, "runs", metric, test, *apart],
        rows,
        width=width,
        text_columns=range(len(names)),
        styles=styles,
    )


def _mean(numbers: Sequence[float]) -> float:
    return float(np.mean(numbers)) if numbers else math.nan


def _spread(numbers: Sequence[float]) -> tuple[float, float]:
    return _mean(numbers), float(np.std(numbers, ddof=1)) if len(numbers) > 1 else math.nan


def _shown(numbers: Sequence[float]) -> str:
    mean, deviation = _spread(numbers)
    return f"{mean:.4f}" + (f" ± {deviation:.4f}" if len(numbers) > 1 else "")
