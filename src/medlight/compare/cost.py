"""What a score costs: time, memory, size, arithmetic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medlight.compare.groups import Group
from medlight.compare.runs import Run


@dataclass(frozen=True, slots=True)
class CostMetric:
    """A kind of cost: its title, its unit, and where provenance.json says it."""

    title: str
    unit: str
    keys: tuple[str, ...]
    scale: float = 1.0
    lower_is_better: bool = True


COST_METRICS = {
    "fit_minutes": CostMetric("training", "min", ("times.fit_seconds",), 1 / 60),
    "test_seconds": CostMetric("test", "s", ("times.test_seconds",)),
    "samples_per_s": CostMetric(
        "samples/s", "", ("training.samples_per_s",), lower_is_better=False
    ),
    "peak_memory_mb": CostMetric(
        "peak memory", "MB", ("peak_memory_mb.cuda", "peak_memory_mb.process")
    ),
    "parameters_m": CostMetric("parameters", "M", ("net.parameters",), 1e-6),
    "gflops": CostMetric("forward pass", "GFLOP", ("net.flops",), 1e-9),
}


def costs(group: Group) -> dict[str, float]:
    """The mean over the runs of a group of each price; nan where a run does not say it."""
    return {
        name: sum(_cost_value(run, metric) for run in group.runs) / len(group.runs)
        for name, metric in COST_METRICS.items()
    }


def _cost_value(run: Run, metric: CostMetric) -> float:
    for key in metric.keys:
        value: Any = run.get(key)
        if isinstance(value, int | float):
            return value * metric.scale
    return math.nan


def pareto(scores: Sequence[float], costs: Sequence[float], *, better: str) -> list[bool]:
    """Find the points that no other beats in both score and price.

    Args:
        scores, costs: of each point; nan where one is not known.
        better: "higher" or "lower", of scores; costs are better when lower.

    Returns:
        For each point; False where one of the two is not known.

    >>> pareto([0.9, 0.8, 0.8], [3.0, 1.0, 2.0], better="higher")
    [True, True, False]
    """
    sign = 1 if better == "higher" else -1
    points = [(sign * s, -p) for s, p in zip(scores, costs, strict=True)]
    return [
        not any(math.isnan(v) for v in mine)
        and not any(a >= mine[0] and b >= mine[1] and (a, b) != mine for a, b in points)
        for mine in points
    ]
