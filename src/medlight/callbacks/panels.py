"""Pictures of the test, worst cases first."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from medlight.callbacks.test_callback import TestCallback
from medlight.core.case_result import CaseResult, Row
from medlight.report.class_figures import plot_confusion, plot_mistakes
from medlight.report.mask_figures import plot_overview, plot_segmentation
from medlight.report.slices import CaseSlice, WorstCases
from medlight.runs.files import file_stem
from medlight.tasks.base import Task, gather_rows


class Panels(TestCallback):
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
        self._worst = WorstCases(max_cases)
        self._pairs: Counter[tuple[str, str]] = Counter()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_test_start(trainer, pl_module)
        self._worst, self._pairs = WorstCases(self.max_cases), Counter()

    def on_case(self, trainer: pl.Trainer, result: CaseResult) -> None:
        self._worst.add(result)
        self._pairs.update(truth_prediction_pairs(result))

    def on_test_results(self, trainer: pl.Trainer, task: Task, rows: Sequence[Row]) -> None:
        found: list[Any] = gather_rows([(self._worst.slices, self._pairs)])  # type: ignore[list-item]
        worst, counted = WorstCases(self.max_cases), Counter[tuple[str, str]]()
        for slices, counts in found:
            worst.merge(slices)
            counted += counts
        if trainer.is_global_zero:
            self.plot(worst, counted, task.spec.labels.names)

    def plot(
        self, worst: WorstCases, counted: Counter[tuple[str, str]], names: Sequence[str]
    ) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if counted:
            plot_confusion(confusion_matrix(counted, names), names, self.folder / "confusion.png")
        plot_worst(worst.slices, names, self.folder)


def plot_worst(slices: Sequence[CaseSlice], names: Sequence[str], folder: Path) -> None:
    """The worst cases: one page of classified ones, or an overview and a page each of masks."""
    if not slices:
        return
    folder.mkdir(parents=True, exist_ok=True)
    if slices[0].prediction is None:
        if slices[0].rows and "truth" in slices[0].rows[0]:
            plot_mistakes(slices, folder / "mistakes.png")
        return
    plot_overview(slices, names, folder / "overview.png")
    for place, picture in enumerate(slices, start=1):
        plot_segmentation(picture, names, folder / f"{place:02}_{file_stem(picture.case)}.png")


def truth_prediction_pairs(result: CaseResult) -> list[tuple[str, str]]:
    """(truth, prediction) of a classified case; nothing where there is no such pair."""
    return [(str(row["truth"]), str(row["prediction"])) for row in result.rows if "truth" in row]


def confusion_matrix(counted: Counter[tuple[str, str]], names: Sequence[str]) -> NDArray[np.int64]:
    """(K, K) cases: rows are truths, columns predictions."""
    return np.array([[counted[truth, guess] for guess in names] for truth in names], np.int64)
