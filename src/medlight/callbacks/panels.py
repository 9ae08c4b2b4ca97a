"""Pictures of the test, worst cases first."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from medlight.callbacks.tested import Tested
from medlight.core.case_result import CaseResult, Row
from medlight.report.class_figures import draw_confusion, draw_mistakes
from medlight.report.mask_figures import draw_overview, draw_segmentation
from medlight.report.slices import Picture, Worst
from medlight.runs.files import file_stem
from medlight.tasks.base import Task, gather_rows


class Panels(Tested):
    """Draws into `panels/` of the run directory.

    Segmentation: image | truth | prediction of the worst cases, and all of them on one page.
    Classification: the confusion matrix, and the images whose truth got the lowest probability.
    One slice of each drawn case is held in memory, no more.

    Args:
        run_dir: where to write.
        max_cases: how many cases to draw; 0 draws none.
    """

    def __init__(self, *, run_dir: Path, max_cases: int = 12) -> None:
        super().__init__()
        self.folder = Path(run_dir) / "panels"
        self.max_cases = max_cases
        self._worst = Worst(max_cases)
        self._pairs: Counter[tuple[str, str]] = Counter()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_test_start(trainer, pl_module)
        self._worst, self._pairs = Worst(self.max_cases), Counter()

    def take(self, trainer: pl.Trainer, result: CaseResult) -> None:
        self._worst.offer(result)
        self._pairs.update(pairs(result))

    def finish(self, trainer: pl.Trainer, task: Task, rows: Sequence[Row]) -> None:
        found: list[Any] = gather_rows([(self._worst.pictures, self._pairs)])  # type: ignore[list-item]
        worst, counted = Worst(self.max_cases), Counter[tuple[str, str]]()
        for pictures, counts in found:
            worst.merge(pictures)
            counted += counts
        if trainer.is_global_zero:
            self.draw(worst, counted, task.facts.labels.names)

    def draw(self, worst: Worst, counted: Counter[tuple[str, str]], names: Sequence[str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if counted:
            draw_confusion(confusion(counted, names), names, self.folder / "confusion.png")
        draw_worst(worst.pictures, names, self.folder)


def draw_worst(pictures: Sequence[Picture], names: Sequence[str], folder: Path) -> None:
    """The worst cases: one page of classified ones, or an overview and a page each of masks."""
    if not pictures:
        return
    folder.mkdir(parents=True, exist_ok=True)
    if pictures[0].prediction is None:
        if pictures[0].rows and "truth" in pictures[0].rows[0]:
            draw_mistakes(pictures, folder / "mistakes.png")
        return
    draw_overview(pictures, names, folder / "overview.png")
    for place, picture in enumerate(pictures, start=1):
        draw_segmentation(picture, names, folder / f"{place:02}_{file_stem(picture.case)}.png")


def pairs(result: CaseResult) -> list[tuple[str, str]]:
    """(truth, prediction) of a classified case; nothing where there is no such pair."""
    return [(str(row["truth"]), str(row["prediction"])) for row in result.rows if "truth" in row]


def confusion(counted: Counter[tuple[str, str]], names: Sequence[str]) -> NDArray[np.int64]:
    """(K, K) cases: rows are truths, columns predictions."""
    return np.array([[counted[truth, guess] for guess in names] for truth in names], np.int64)
