"""Pictures of the test, worst cases first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from medlight.callbacks.test_callback import TestCallback
from medlight.core.case_result import CaseResult, Row
from medlight.metrics.point_scores import confusion_counts
from medlight.report.figures import plot_confusion
from medlight.report.slices import WorstCases
from medlight.runs.directory import PANEL_FOLDER
from medlight.tasks.base import Task
from medlight.tasks.outcome import Outcome
from medlight.tasks.ranks import gather_rows


class Panels(TestCallback):
    """Draws what the task's outcome has to show into `panels/` of the run directory.

    Segmentation: image | truth | prediction of the worst cases, and all of them on one page.
    Classification: the confusion matrix, and the images whose truth got the lowest probability.
    One slice of each drawn case is held in memory, no more.

    Args:
        run_dir: where to write.
        max_cases: how many cases to draw; 0 draws none.
    """

    def __init__(self, *, run_dir: Path, max_cases: int = 12) -> None:
        super().__init__()
        self.folder = Path(run_dir) / PANEL_FOLDER
        self.max_cases = max_cases
        self._worst: WorstCases | None = None

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_test_start(trainer, pl_module)
        task: Any = pl_module
        self._worst = WorstCases(self.max_cases, task.outcome.score)

    def on_case(self, trainer: pl.Trainer, result: CaseResult) -> None:
        assert self._worst is not None
        self._worst.add(result)

    def on_test_results(self, trainer: pl.Trainer, task: Task, rows: Sequence[Row]) -> None:
        assert self._worst is not None
        worst = gather_worst(self._worst)
        if trainer.is_global_zero:
            plot_panels(task.outcome, worst, rows, self.folder)


def gather_worst(worst: WorstCases) -> WorstCases:
    """The worst cases of all ranks."""
    gathered: list[Any] = gather_rows([worst.slices])  # type: ignore[list-item]
    merged = WorstCases(worst.max_cases, worst.score)
    for slices in gathered:
        merged.merge(slices)
    return merged


def plot_panels(outcome: Outcome, worst: WorstCases, rows: Sequence[Row], folder: Path) -> None:
    """The figures over all cases, and the worst ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in (outcome.charts(rows) if rows else {}).items():
        counts = confusion_counts(chart.truth, chart.prediction, len(chart.names))
        plot_confusion(counts, chart.names, folder / f"{name}.png")
    if worst.slices:
        outcome.plot_worst(worst.slices, folder)
