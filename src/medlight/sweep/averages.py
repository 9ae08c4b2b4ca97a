"""Settings averaged over what repeats them, seeds and folds: how much of a difference is chance."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.markup import escape
from rich.table import Table

from medlight.sweep.job import DONE
from medlight.sweep.names import short, values
from medlight.sweep.summary import DASH, Entry

REPEATS = ("seed", "data.fold")
"""What repeats a setting."""
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Average:
    """One setting over its repeats.

    Attributes:
        setting: key to value of what sets it apart.
        scores, tests: best validation score and test score of each repeat; nan where unknown.
        differences: of `scores` to the reference's with the same seed and fold.
    """

    setting: dict[str, str]
    scores: list[float]
    tests: list[float]
    differences: list[float]


def averages(entries: Sequence[Entry]) -> list[Average]:
    """One for each setting, in the order of `entries`; empty where nothing is repeated.

    The first one is the reference, whose differences are empty.
    """
    found: dict[tuple[tuple[str, str], ...], dict[tuple[str, ...], Entry]] = {}
    for each in entries:
        if each.status.state == DONE and not math.isnan(each.score):
            said = values(each.status.overrides)
            setting = tuple((key, said[key]) for key in said if key not in REPEATS)
            repeat = tuple(said.get(key, "") for key in REPEATS)
            found.setdefault(setting, {})[repeat] = each
    if not any(len(repeats) > 1 for repeats in found.values()):
        return []
    first = next(iter(found.values()))
    return [
        Average(
            setting=dict(setting),
            scores=[each.score for each in repeats.values()],
            tests=[each.test for each in repeats.values()],
            differences=[
                each.score - first[key].score
                for key, each in repeats.items()
                if repeats is not first and key in first
            ],
        )
        for setting, repeats in found.items()
    ]


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean by Student's t; nan with fewer than two."""
    if len(differences) < 2:
        return math.nan, math.nan
    from scipy.stats import t

    freedom = len(differences) - 1
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    reach = float(t.ppf((1 + LEVEL) / 2, freedom)) * error
    middle = float(np.mean(differences))
    return middle - reach, middle + reach


def averages_csv(found: Sequence[Average]) -> str:
    """What the table shows, in full."""
    keys = list(found[0].setting)
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    write([*keys, "repeats", "score", "score_sd", "test", "test_sd", "difference", "low", "high"])
    for each in found:
        numbers = [*_spread(each.scores), *_spread(each.tests)]
        numbers += [_mean(each.differences), *interval(each.differences)]
        write([*(each.setting.get(key, "") for key in keys), len(each.scores), *map(repr, numbers)])
    return text.getvalue()


def averages_table(found: Sequence[Average], metric: str) -> Table:
    names = short(key for each in found for key in each.setting)
    table = Table(title="Over seeds and folds, mean \N{PLUS-MINUS SIGN} SD", title_justify="left")
    for name in names.values():
        table.add_column(name)
    test = f"test/{metric.partition('/')[2]}"
    apart = ["against the first\n(95 % interval)"] if len(found) > 1 else []
    for name in ("runs", metric, test, *apart):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found:
        low, high = interval(each.differences)
        far = f"{_mean(each.differences):+.4f} ({low:+.4f} to {high:+.4f})"
        table.add_row(
            *(escape(each.setting.get(key, "")) for key in names),
            str(len(each.scores)),
            *(_shown(numbers) for numbers in (each.scores, each.tests)),
            *(far if each.differences else DASH for _ in apart),
            style="bold" if not math.isnan(low) and low * high > 0 else "",
        )
    return table


def _mean(numbers: Sequence[float]) -> float:
    return float(np.mean(numbers)) if numbers else math.nan


def _spread(numbers: Sequence[float]) -> tuple[float, float]:
    return _mean(numbers), float(np.std(numbers, ddof=1)) if len(numbers) > 1 else math.nan


def _shown(numbers: Sequence[float]) -> str:
    mean, deviation = _spread(numbers)
    return f"{mean:.4f}" + (f" ± {deviation:.4f}" if len(numbers) > 1 else "")
