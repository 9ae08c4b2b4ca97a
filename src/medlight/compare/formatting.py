"""Format numbers, and say what they support."""

import math

from medlight.compare.case_scores import ALL_CLASSES, ScoreKey
from medlight.compare.paired import PairedResult
from medlight.compare.stability import VarianceComponents
from medlight.compare.statistics import ALPHA
from medlight.core.outcome import Metric
from medlight.metrics.bootstrap import Interval

DASH = "\N{EN DASH}"
BETTER, WORSE, INCONCLUSIVE = "better", "worse", "inconclusive"


def format_number(value: float, metric: Metric, *, signed: bool = False) -> str:
    """Write a number with four decimals, or two if it has a unit.

    Args:
        value: nan is a dash.
        metric: says the unit.
        signed: with its sign, as differences have.
    """
    if math.isnan(value):
        return DASH
    places = 2 if metric.unit else 4
    return f"{value:{'+' if signed else ''}.{places}f}"


def format_interval(
    interval: Interval, metric: Metric, *, signed: bool = False, short: bool = False
) -> str:
    """Write a mean and its interval.

    Args:
        interval: without one, where its ends are nan.
        metric: says the unit.
        signed: with signs, as differences have.
        short: give the ends of a share three decimals.
    """
    middle = format_number(interval.mean, metric, signed=signed)
    if math.isnan(interval.low):
        return middle
    ends = [format_number(end, metric, signed=signed) for end in (interval.low, interval.high)]
    if short and not metric.unit:
        ends = [f"{end:{'+' if signed else ''}.3f}" for end in (interval.low, interval.high)]
    return f"{middle} ({ends[0]}{' to ' if signed or not short else DASH}{ends[1]})"


def format_p_value(p: float) -> str:
    """A p value.

    >>> format_p_value(0.00001), format_p_value(0.0312), format_p_value(0.4)
    ('<0.001', '0.031', '0.40')
    """
    if math.isnan(p):
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def class_label(key: ScoreKey) -> str:
    return "all" if key[1] == ALL_CLASSES else key[1]


def verdict(result: PairedResult) -> str:
    """Return what both the interval and the corrected test say: better, worse or inconclusive."""
    found = result.difference
    apart = result.adjusted < ALPHA and (found.low > 0 or found.high < 0)
    if not apart:
        return INCONCLUSIVE
    return BETTER if (found.mean > 0) == (result.metric.direction == "higher") else WORSE


def conclusion(result: PairedResult) -> str:
    """State a result, and the smallest difference that this design could have detected."""
    metric = result.metric
    of = "" if result.key[1] == ALL_CLASSES else f" of {result.key[1]}"
    said = (
        f"{result.group}: {metric.title}{of} "
        f"{format_interval(result.difference, metric, signed=True)}"
        f"{' ' + metric.unit if metric.unit else ''} against the reference, "
        f"p = {format_p_value(result.adjusted)}: {verdict(result)}."
    ).replace("p = <", "p < ")
    return f"{said} {power_statement(result)}"


def power_statement(result: PairedResult) -> str:
    if math.isnan(result.min_detectable):
        return f"{result.patients} patients are too few to detect any difference reliably."
    unit = result.metric.unit
    size = f"{result.min_detectable:.2g}{' ' + unit if unit else ''}"
    return (
        f"With these {result.patients} patients, a true difference of {size} would be detected "
        f"in 4 of 5 such studies; a smaller one could be missed."
    )


def describe_variance(components: VarianceComponents, metric: Metric) -> str:
    """Describe how much seeds, folds and cases vary."""
    seed, fold = format_number(components.seed, metric), format_number(components.fold, metric)
    said = [f"cases differ by {format_number(components.case, metric)} (one standard deviation)"]
    if not math.isnan(components.seed):
        said.append(f"another seed changes the mean by {seed}")
    if not math.isnan(components.fold):
        said.append(f"another fold by {fold}")
    if math.isnan(components.seed):
        said.append("one seed only, so the spread over seeds is unknown")
    return ", ".join(said)
