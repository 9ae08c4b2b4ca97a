"""Pictures of segmentations, and what all pictures share.

Figures are drawn through Matplotlib's object interface: no window, no state shared with a
notebook. Colours are Okabe and Ito's, then Tol's muted ones: told apart by colour-blind eyes.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medlight.io.atomic import atomic_path
from medlight.report.slices import CaseSlice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = (
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
    "#009E73",
    "#F0E442",
    "#D55E00",
    "#0072B2",
    "#88CCEE",
    "#DDCC77",
    "#AA4499",
    "#117733",
    "#CC6677",
    "#44AA99",
    "#999933",
    "#882255",
)
DARK_BACKGROUND, LIGHT_TEXT = "#111111", "#F2F2F2"


def label_colour(label: int) -> str:
    """Of a foreground label; label 0 is background and has none."""
    return PALETTE[(label - 1) % len(PALETTE)]


def figure(width: float, height: float, *, dark: bool = False) -> "Figure":
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(
        figsize=(width, height),
        facecolor=DARK_BACKGROUND if dark else "white",
        layout="constrained",
    )


def save_figure(page: "Figure", path: Path, *, dpi: int) -> None:
    """Write a picture, whole or not at all."""
    with atomic_path(path) as part:
        page.savefig(part, dpi=dpi)


def plot_segmentation(picture: CaseSlice, names: Sequence[str], path: Path) -> None:
    """Image | truth | prediction of one case."""
    height, width = picture.image.shape[:2]
    panel = 3.4
    size = panel * min(max(height / width, 0.4), 1.6)
    page = figure(3 * panel, size + 0.9, dark=True)
    page.suptitle(slice_title(picture), color=LIGHT_TEXT, fontsize=12)
    for axes, name in zip(page.subplots(1, 3), ("image", "truth", "prediction"), strict=True):
        show_slice(axes, picture, name)
        axes.set_title(name, color=LIGHT_TEXT, fontsize=10)
    class_legend(page, picture, names)
    save_figure(page, path, dpi=110)


def plot_overview(slices: Sequence[CaseSlice], names: Sequence[str], path: Path) -> None:
    """The worst cases on one page: the truth as a line around the coloured prediction."""
    page, cells = slice_grid(slices, caption=0.45)
    page.suptitle("worst cases: prediction in colour, truth as a white line", color=LIGHT_TEXT)
    for axes, picture in zip(cells, slices, strict=True):
        show_slice(axes, picture, "prediction", outline=picture.truth)
        axes.set_title(short_slice_title(picture), color=LIGHT_TEXT, fontsize=8)
    class_legend(page, None, names)
    save_figure(page, path, dpi=110)


def slice_grid(slices: Sequence[CaseSlice], *, caption: float) -> "tuple[Figure, list[Axes]]":
    """A page with one cell a picture, four in a line, and `caption` inches above each."""
    columns = min(4, len(slices))
    lines = math.ceil(len(slices) / columns)
    ratio = max(picture.image.shape[0] / picture.image.shape[1] for picture in slices)
    height = 2.5 * min(max(ratio, 0.4), 1.5) + caption
    page = figure(2.5 * columns, height * lines + 0.7, dark=True)
    cells = page.subplots(lines, columns, squeeze=False).ravel()
    for axes in cells[len(slices) :]:
        axes.axis("off")
    return page, list(cells[: len(slices)])


def slice_title(picture: CaseSlice) -> str:
    """Case, and Dice of each class where it is known."""
    scores = [
        f"{row['class']} {row['dice']:.2f}"
        for row in picture.rows
        if not math.isnan(float(row["dice"]))
    ]
    return f"{picture.case}   Dice: {', '.join(scores) or 'no class present'}"


def short_slice_title(picture: CaseSlice) -> str:
    score = f"{picture.score:.2f}" if math.isfinite(picture.score) else "-"
    return f"{picture.case}\nmean Dice {score}"


def show_slice(
    axes: "Axes", picture: CaseSlice, name: str, *, outline: NDArray[np.uint8] | None = None
) -> None:
    """The image with the mask called `name` over it, in translucent colour with its border."""
    from matplotlib.colors import to_rgb
    from matplotlib.patheffects import withStroke

    axes.imshow(picture.image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    mask = None if name == "image" else getattr(picture, name)
    if mask is not None:
        overlay = np.zeros((*mask.shape, 4))
        for label in np.unique(mask[mask > 0]):
            overlay[mask == label] = (*to_rgb(label_colour(int(label))), 0.35)
        axes.imshow(overlay, interpolation="nearest")
        draw_contour(axes, mask, None)
    if outline is not None:
        draw_contour(axes, outline, "white")
    axes.axis("off")
    if picture.slice is not None:
        axes.text(
            0.02,
            0.5,
            "R",
            color=LIGHT_TEXT,
            fontsize=9,
            va="center",
            transform=axes.transAxes,
            path_effects=[withStroke(linewidth=2, foreground="black")],
        )


def draw_contour(axes: "Axes", mask: NDArray[np.uint8], fixed: str | None) -> None:
    """The border of each label, along the edges of its pixels."""
    for label in np.unique(mask[mask > 0]):
        inside = np.pad(mask == label, 1).astype(np.int8)
        y, x = np.nonzero(np.diff(inside, axis=0))
        across = [(x - 1.5, x - 0.5), (y - 0.5, y - 0.5)]
        y, x = np.nonzero(np.diff(inside, axis=1))
        along = [(x - 0.5, x - 0.5), (y - 1.5, y - 0.5)]
        add_lines(axes, np.concatenate([across, along], axis=2), fixed or label_colour(int(label)))


def add_lines(axes: "Axes", ends: NDArray[np.float64], color: str) -> None:
    """Draw pieces of line as one: a collection of thousands takes seconds.

    Args:
        axes: where; its limits stay.
        ends: (2, 2, N) x and y, each of start and end.
        color: of all.
    """
    from matplotlib.lines import Line2D

    broken = np.concatenate([ends, np.full((2, 1, ends.shape[2]), np.nan)], axis=1)
    x, y = broken.transpose(0, 2, 1).reshape(2, -1)
    axes.add_line(Line2D(x, y, color=color, linewidth=1.2, solid_capstyle="round"))


def class_legend(page: "Figure", picture: CaseSlice | None, names: Sequence[str]) -> None:
    """Names of the classes below the panels: those in the picture where there are many."""
    from matplotlib.patches import Patch

    labels = list(range(1, len(names)))
    if picture is not None and len(names) > 9:
        masks = [m for m in (picture.truth, picture.prediction) if m is not None]
        labels = [label for label in labels if any((mask == label).any() for mask in masks)]
    page.legend(
        handles=[Patch(color=label_colour(label), label=names[label]) for label in labels],
        loc="outside lower center",
        ncols=min(max(len(labels), 1), 5),
        frameon=False,
        labelcolor=LIGHT_TEXT,
        fontsize=9,
    )
    if picture is not None and picture.slice is not None:
        page.text(
            0.995,
            0.01,
            f"axial slice {picture.slice}, radiological (patient's right: R)",
            color="#AAAAAA",
            fontsize=7,
            ha="right",
        )
