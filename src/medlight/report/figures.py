"""Pictures of scores: confusion, mistakes, reliability, and risk against coverage."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.metrics.calibration import Reliability
from medlight.metrics.selective import selective_risk
from medlight.report.mask_figures import (
    LIGHT_TEXT,
    PALETTE,
    figure,
    save_figure,
    show_slice,
    slice_grid,
)
from medlight.report.slices import CaseSlice

CORRECT_COLOUR, WRONG_COLOUR = "#56B4E9", "#E69F00"


def plot_confusion(counts: NDArray[np.int64], names: Sequence[str], path: Path) -> None:
    """Counts in the cells; the colour is the share of the row: of the cases of a class."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(3.6, 0.62 * len(names) + 1.8)
    page = figure(size + 0.9, size)
    axes = page.subplots()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for truth, predicted in np.ndindex(counts.shape):
        if counts[truth, predicted]:
            axes.text(
                predicted,
                truth,
                f"{counts[truth, predicted]:,}",
                ha="center",
                va="center",
                color="white" if share[truth, predicted] > 0.55 else "#222222",
                fontsize=8,
            )
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    right, total = int(np.trace(counts)), int(counts.sum())
    axes.set_title(f"{right:,} of {total:,} right ({right / max(total, 1):.2%})", fontsize=10)
    page.colorbar(picture, ax=axes, label="share of the truth's cases", shrink=0.8)
    save_figure(page, path, dpi=120)


def plot_mistakes(slices: Sequence[CaseSlice], path: Path) -> None:
    """The cases whose truth got the lowest probability, right and wrong ones marked."""
    page, cells = slice_grid(slices, caption=0.6)
    page.suptitle("lowest probability of the truth", color=LIGHT_TEXT, fontsize=11)
    for axes, picture in zip(cells, slices, strict=True):
        row = picture.rows[0]
        show_slice(axes, picture, "image")
        right = row["truth"] == row["prediction"]
        axes.set_title(
            mistake_caption(row), color=CORRECT_COLOUR if right else WRONG_COLOUR, fontsize=8
        )
    save_figure(page, path, dpi=110)


def plot_cases(slices: Sequence[CaseSlice], captions: Sequence[str], path: Path) -> None:
    """Images with a caption each, in a grid."""
    page, cells = slice_grid(slices, caption=0.6)
    for axes, picture, caption in zip(cells, slices, captions, strict=True):
        show_slice(axes, picture, "image")
        axes.set_title(caption, color=LIGHT_TEXT, fontsize=8, wrap=True)
    save_figure(page, path, dpi=110)


def mistake_caption(row: Mapping[str, str | int | float]) -> str:
    """Case, truth and prediction with their probabilities."""
    truth, guess = row["truth"], row["prediction"]
    mark = "right" if truth == guess else "WRONG"
    return (
        f"{row['case']}: {mark}\ntruth {truth} {float(row[f'p_{truth}']):.2f}\n"
        f"prediction {guess} {float(row[f'p_{guess}']):.2f}"
    )


GREY = "#777777"


def plot_reliability(sides: Mapping[str, tuple[Reliability, float]], path: Path) -> None:
    """Accuracy against confidence, one panel for each side (title to bins and ECE), and below it
    how many cases each bin holds. On the diagonal confidence is what it says."""
    page = figure(4.2 * len(sides), 4.6)
    rows = page.subplots(
        2, len(sides), sharex=True, squeeze=False, gridspec_kw={"height_ratios": (3, 1)}
    )
    for column, (name, (found, ece)) in enumerate(sides.items()):
        above, below = rows[0, column], rows[1, column]
        edges = np.linspace(0, 1, len(found.cases) + 1)
        middle, width = (edges[1:] + edges[:-1]) / 2, 1 / len(found.cases)
        full = found.cases > 0
        above.bar(
            middle[full], found.accuracy[full], width, color=PALETTE[1], edgecolor="white",
            label="accuracy of the bin",
        )  # fmt: skip
        above.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        above.plot(
            found.confidence[full], found.accuracy[full], "o", color=PALETTE[5], markersize=4,
            label="at its mean confidence",
        )  # fmt: skip
        above.set(title=f"{name}: ECE {ece:.4f}", xlim=(0, 1), ylim=(0, 1.02))
        above.set_ylabel("accuracy")
        above.legend(loc="upper left", frameon=False, fontsize=8)
        below.bar(middle, found.cases, width, color=GREY, edgecolor="white")
        below.set(xlabel="confidence in the predicted class", ylabel="cases")
    save_figure(page, path, dpi=120)


def plot_risk_coverage(
    uncertainty: NDArray[np.float64], risk: NDArray[np.float64], path: Path, *, risk_name: str
) -> None:
    """The risk of the most certain cases, between the best and the worst order there can be; and
    each case's risk against its uncertainty."""
    page = figure(9.4, 4)
    left, right = page.subplots(1, 2)
    coverage = np.arange(1, len(risk) + 1) / len(risk)
    curves: Sequence[tuple[str, NDArray[np.float64], str, str]] = (
        ("by uncertainty", uncertainty, PALETTE[6], "-"),
        ("best order there is", risk, PALETTE[3], "--"),
        ("order without meaning", np.zeros(len(risk)), GREY, ":"),
    )
    for name, order, colour, style in curves:
        curve = selective_risk(order, risk)
        label = f"{name}: AURC {curve.mean():.4f}"
        left.plot(coverage, curve, color=colour, linestyle=style, label=label)
    left.set(
        xlabel="coverage: share of cases kept, most certain first",
        ylabel=f"mean {risk_name} of the cases kept",
        xlim=(0, 1.02),
    )
    left.set_ylim(0, 1.1 * max(float(risk.max()), 1e-3))
    left.legend(frameon=False, fontsize=8)
    right.locator_params(axis="x", nbins=6)
    right.scatter(uncertainty, risk, s=18, color=PALETTE[6], alpha=0.7, linewidths=0)
    right.set(xlabel="uncertainty of the case", ylabel=f"{risk_name} of the case")
    save_figure(page, path, dpi=120)
