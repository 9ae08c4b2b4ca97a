"""A sweep in three pictures: which settings led where, at what cost, and which of them mattered."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.report.mask_figures import figure, save_figure
from medlight.sweep.job import DONE, PRUNED
from medlight.sweep.job_names import override_values, short_keys
from medlight.sweep.ranking import RankedJob

MAX_CATEGORIES = 6
"""Values of a setting up to which each is a group of its own; beyond, quarters of them are."""
LOG_RATIO = 20
"""Ratio of the ends of an axis from which on it is logarithmic."""
FAN_WIDTH = 0.3
"""How far lines through one value are spread, of the way to the next: the best on top."""


def plot_sweep(entries: Sequence[RankedJob], folder: Path, *, metric: str, mode: str) -> None:
    """Write parallel.png, budget.png and importance.png, from entries in the order they ran."""
    scored = [each for each in entries if not math.isnan(each.score)]
    names = short_keys(key for each in scored for key in override_values(each.status.overrides))
    varied = [key for key in names if len({_text(each, key) for each in scored}) > 1]
    if len(scored) < 2:
        return
    _budget(scored, folder / "budget.png", metric, mode)
    if varied:
        _parallel(
            scored, {key: names[key] for key in varied}, folder / "parallel.png", metric, mode
        )
        whole = [each for each in scored if each.status.state == DONE]  # early scores are low ones
        shares = {names[key]: importance(whole, key) for key in varied}
        _importance(shares, folder / "importance.png", metric)


def importance(entries: Sequence[RankedJob], key: str) -> float:
    """Share of the variance of the score between groups of one setting's values, 0 to 1.

    Epsilon squared of a one-way analysis of variance (Kelley 1935, PNAS 21:554), which is 0 on
    average where a setting does nothing; what settings do only together is not in it. nan where
    no group has two jobs.
    """
    if not entries:
        return math.nan
    scores = np.array([each.score for each in entries])
    groups = _groups([_text(each, key) for each in entries])
    parts = [scores[groups == group] for group in np.unique(groups)]
    freedom = len(scores) - len(parts)
    total = float(((scores - scores.mean()) ** 2).sum())
    if freedom < 1 or total == 0:
        return math.nan
    within = sum(float(((part - part.mean()) ** 2).sum()) for part in parts)
    return max(0.0, 1 - (within / freedom) / (total / (len(scores) - 1)))


def _groups(texts: Sequence[str]) -> NDArray[np.intp]:
    numbers = _numbers(texts)
    if numbers is None or len(set(texts)) <= MAX_CATEGORIES:
        return np.unique(np.array(texts), return_inverse=True)[1]
    return np.digitize(numbers, np.quantile(numbers, (0.25, 0.5, 0.75)))


def _text(entry: RankedJob, key: str) -> str:
    return override_values(entry.status.overrides).get(key, "")


def _numbers(texts: Sequence[str]) -> NDArray[np.float64] | None:
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return None


def _budget(entries: Sequence[RankedJob], path: Path, metric: str, mode: str) -> None:
    epochs = np.cumsum([each.status.epoch for each in entries])
    scores = np.array([each.score for each in entries])
    best = (np.maximum if mode == "max" else np.minimum).accumulate(scores)
    page = figure(6.5, 3.8)
    axes = page.subplots()
    pruned = np.array([each.status.state == PRUNED for each in entries])
    axes.step(epochs, best, where="post", color="#222222", linewidth=1.6, label="best so far")
    axes.scatter(epochs[~pruned], scores[~pruned], s=26, color="#0072B2", label="run to its end")
    if pruned.any():
        axes.scatter(epochs[pruned], scores[pruned], s=26, facecolors="none", edgecolors="#D55E00",
                     label="stopped early")  # fmt: skip
    axes.set_xlabel("epochs trained in all")
    axes.set_ylabel(metric)
    _plain(axes)
    place: Any = "lower right" if mode == "max" else "upper right"
    axes.legend(edgecolor="none", fontsize=8, loc=place, scatterpoints=1)
    save_figure(page, path, dpi=110)


def _parallel(
    entries: Sequence[RankedJob], names: dict[str, str], path: Path, metric: str, mode: str
) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scores = np.array([each.score for each in entries])
    scale, colours = Normalize(scores.min(), scores.max()), colormaps["viridis"]
    page = figure(max(5.5, 1.7 * len(names) + 2.5), 3.8)
    axes = page.subplots()
    order = np.argsort(scores if mode == "max" else -scores, kind="stable")
    fan = np.empty(len(order))
    fan[order] = np.linspace(-0.5, 0.5, len(order))
    columns = [_axis(axes, x, [_text(e, key) for e in entries], fan) for x, key in enumerate(names)]
    heights = np.array([*columns, _axis(axes, len(names), [str(float(score)) for score in scores])])
    for number in order:
        axes.plot(heights[:, number], color=colours(scale(scores[number])), alpha=0.75,
                  linewidth=2.8 if number == order[-1] else 1.1)  # fmt: skip
    axes.set_xticks(range(len(names) + 1), [*names.values(), metric])
    axes.set_yticks([])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.set_xlim(-0.45, len(names) + 0.45)
    page.colorbar(ScalarMappable(scale, colours), ax=axes, label=metric, pad=0.02)
    save_figure(page, path, dpi=110)


def _axis(
    axes: Any, x: int, texts: Sequence[str], fan: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Draw one upright axis; where on it, from 0 to 1, each value lies.

    Args:
        fan: of each line, -0.5 to 0.5: keeps lines apart that share one of few values.
    """
    axes.axvline(x, color="#999999", linewidth=0.8, zorder=0)
    numbers = _numbers(texts)
    if numbers is None:
        kinds = sorted(set(texts))
        marks = np.linspace(0, 1, len(kinds)) if len(kinds) > 1 else np.array([0.5])
        places = dict(zip(kinds, marks, strict=True))
        heights = np.array([places[text] for text in texts])
        labels = list(zip(marks, kinds, strict=True))
    else:
        low, high = numbers.min(), numbers.max()
        log = low > 0 and high / low >= LOG_RATIO
        ends = np.log([low, high]) if log else np.array([low, high])
        span = (ends[1] - ends[0]) or 1.0
        heights = ((np.log(numbers) if log else numbers) - ends[0]) / span
        shown = sorted(set(zip(heights, numbers, strict=True)))
        shown = shown if len(shown) <= MAX_CATEGORIES else [shown[0], shown[-1]]
        labels = [(mark, f"{number:.3g}") for mark, number in shown]
    side, end = (0.04, "left") if fan is None else (-0.04, "right")
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    for mark, label in labels:
        axes.text(x + side, mark, label, fontsize=7, va="center", ha=end, zorder=3, bbox=behind)
    if fan is not None and 1 < len(labels) == len(set(texts)):
        heights = heights + FAN_WIDTH * np.diff([mark for mark, _ in labels]).min() * fan
    return np.asarray(heights)


def _importance(shares: dict[str, float], path: Path, metric: str) -> None:
    known = sorted((kv for kv in shares.items() if not math.isnan(kv[1])), key=lambda kv: kv[1])
    if not known:
        return
    page = figure(6, 0.4 * len(known) + 1.3)
    axes = page.subplots()
    bars = axes.barh([kv[0] for kv in known], [100 * kv[1] for kv in known], color="#0072B2")
    axes.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
    axes.set_xlim(0, 108)
    axes.set_xlabel(f"variance of {metric} between its values, %")
    _plain(axes)
    save_figure(page, path, dpi=110)


def _plain(axes: Any) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
