"""What a score costs: time, memory, size, arithmetic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medlight.compare.groups import Group
from medlight.compare.runs import Run


@dataclass(frozen=True, slots=True)
class Price:
    """A kind of cost: its title, its unit, and where provenance.json says it."""

    title: str
    unit: str
    said: tuple[str, ...]
    scale: float = 1.0
    less: bool = True


PRICES = {
    "fit_minutes": Price("training", "min", ("times.fit_seconds",), 1 / 60),
    "test_seconds": Price("test", "s", ("times.test_seconds",)),
    "samples_per_s": Price("samples/s", "", ("training.samples_per_s",), less=False),
    "peak_memory_mb": Price("peak memory", "MB", ("peak_memory_mb.cuda", "peak_memory_mb.process")),
    "parameters_m": Price("parameters", "M", ("net.parameters",), 1e-6),
    "gflops": Price("forward pass", "GFLOP", ("net.flops",), 1e-9),
}


def costs(group: Group) -> dict[str, float]:
    """The mean over the runs of a group of each price; nan where a run does not say it."""
    return {
        name: sum(_price(run, price) for run in group.runs) / len(group.runs)
        for name, price in PRICES.items()
    }


def _price(run: Run, price: Price) -> float:
    for key in price.said:
        value: Any = run.said(key)
        if isinstance(value, int | float):
            return value * price.scale
    return math.nan


def pareto(scores: Sequence[float], prices: Sequence[float], *, better: str) -> list[bool]:
    """Which points no other beats in both score and price; False where one is not known.

    >>> pareto([0.9, 0.8, 0.8], [3.0, 1.0, 2.0], better="higher")
    [True, True, False]
    """
    sign = 1 if better == "higher" else -1
    points = [(sign * s, -p) for s, p in zip(scores, prices, strict=True)]
    return [
        not any(math.isnan(v) for v in mine)
        and not any(a >= mine[0] and b >= mine[1] and (a, b) != mine for a, b in points)
        for mine in points
    ]
