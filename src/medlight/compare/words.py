"""Numbers as people read them, and what may be said of them."""

import math

from medlight.compare.cases import ALL, Key
from medlight.compare.claims import Claim, better, described
from medlight.compare.power import ALPHA
from medlight.compare.variance import Split
from medlight.metrics.bootstrap import Interval

NOTHING = "\N{EN DASH}"


def number(value: float, metric: str, *, signed: bool = False) -> str:
    """Four decimals of a share, two of millimetres and millilitres."""
    if math.isnan(value):
        return NOTHING
    places = 2 if described(metric).unit else 4
    return f"{value:{'+' if signed else ''}.{places}f}"


def span(found: Interval, metric: str, *, signed: bool = False) -> str:
    """A mean and its interval."""
    middle = number(found.mean, metric, signed=signed)
    if math.isnan(found.low):
        return middle
    ends = [number(end, metric, signed=signed) for end in (found.low, found.high)]
    return f"{middle} ({ends[0]} to {ends[1]})"


def chance(p: float) -> str:
    """A p value.

    >>> chance(0.00001), chance(0.0312), chance(0.4)
    ('<0.001', '0.031', '0.40')
    """
    if math.isnan(p):
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def title(metric: str) -> str:
    known = described(metric)
    named = f"size of {known.title}" if known.better == "zero" else known.title
    return f"{named} ({known.unit})" if known.unit else named


def label(key: Key) -> str:
    return "all" if key[1] == ALL else key[1]


def verdict(claim: Claim) -> str:
    """What both the interval and the corrected test say: better, worse, or not told apart."""
    found = claim.difference
    apart = claim.adjusted < ALPHA and (found.low > 0 or found.high < 0)
    if not apart:
        return "not told apart"
    return "better" if (found.mean > 0) == (better(claim.key[0]) == "higher") else "worse"


def sentence(claim: Claim) -> str:
    """A claim, and beside it what this design could have seen."""
    metric = claim.key[0]
    known = described(metric)
    of = "" if claim.key[1] == ALL else f" of {claim.key[1]}"
    said = (
        f"{claim.group}: {known.title}{of} {span(claim.difference, metric, signed=True)}"
        f"{' ' + known.unit if known.unit else ''} against the reference, "
        f"p = {chance(claim.adjusted)}: {verdict(claim)}."
    ).replace("p = <", "p < ")
    return f"{said} {could_have_seen(claim)}"


def could_have_seen(claim: Claim) -> str:
    if math.isnan(claim.least):
        return f"{claim.patients} patients are too few to say what would have been noticed."
    unit = described(claim.key[0]).unit
    size = f"{claim.least:.2g}{' ' + unit if unit else ''}"
    return (
        f"With these {claim.patients} patients, a true difference of {size} would have been "
        f"noticed in 4 of 5 such studies; a smaller one might well have been missed."
    )


def spread_in_words(split: Split, metric: str) -> str:
    """What another seed or fold would have changed."""
    seed, fold = number(split.seed, metric), number(split.fold, metric)
    said = [f"cases differ by {number(split.case, metric)} (one standard deviation)"]
    if not math.isnan(split.seed):
        said.append(f"another seed moves the mean by {seed}")
    if not math.isnan(split.fold):
        said.append(f"another fold by {fold}")
    if math.isnan(split.seed):
        said.append("one seed only, so nothing is known of others")
    return ", ".join(said)
