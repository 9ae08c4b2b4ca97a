"""Pictures of classifications: the confusion matrix and the cases that went wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.report.mask_figures import LIGHT_TEXT, figure, show_slice, slice_grid
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
    page.savefig(path, dpi=120)


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
    page.savefig(path, dpi=110)


def plot_cases(slices: Sequence[CaseSlice], captions: Sequence[str], path: Path) -> None:
    """Images with a caption each, in a grid."""
    page, cells = slice_grid(slices, caption=0.6)
    for axes, picture, caption in zip(cells, slices, captions, strict=True):
        show_slice(axes, picture, "image")
        axes.set_title(caption, color=LIGHT_TEXT, fontsize=8, wrap=True)
    page.savefig(path, dpi=110)


def confusion_counts(
    truth: Sequence[int], prediction: Sequence[int], classes: int
) -> NDArray[np.int64]:
    """(K, K) cases: rows are truths, columns predictions."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (list(truth), list(prediction)), 1)
    return counts


def mistake_caption(row: Mapping[str, str | int | float]) -> str:
    """Case, truth and prediction with their probabilities."""
    truth, guess = row["truth"], row["prediction"]
    mark = "right" if truth == guess else "WRONG"
    return (
        f"{row['case']}: {mark}\ntruth {truth} {float(row[f'p_{truth}']):.2f}\n"
        f"prediction {guess} {float(row[f'p_{guess}']):.2f}"
    )
