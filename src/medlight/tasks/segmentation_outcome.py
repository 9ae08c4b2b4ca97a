"""A finished case of a segmentation: a row for each class, scores, figures, and its mask."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medlight.core.outcome import CLASS_COLUMN, ID_COLUMNS, OutcomeSpec
from medlight.metrics.bootstrap import Interval
from medlight.metrics.names import CASE_METRICS, catalogued
from medlight.metrics.segmentation import segmentation_intervals, summarise_segmentation
from medlight.report.mask_figures import plot_overview, plot_segmentation
from medlight.report.slices import CaseSlice
from medlight.runs.files import file_stem
from medlight.tasks.outcome import Outcome, Rows

if TYPE_CHECKING:
    from medlight.tasks.trained_model import PredictionWriter, PredictOptions, TrainedModel


class SegmentationOutcome(Outcome):
    """Rows hold the metrics of `metrics.segmentation_cases`, voxels and an uncertainty.

    Args:
        scored: names of the classes or regions that are scored.
        policy: of the scorer.
        labels: names of all labels, the background first.
    """

    def __init__(self, scored: Sequence[str], *, policy: str, labels: Sequence[str]) -> None:
        super().__init__(
            OutcomeSpec(
                kind="segmentation",
                classes=tuple(scored),
                metrics=catalogued((*CASE_METRICS, "volume_ml_absolute_error", "aurc")),
                policy=policy,
                text_columns=(*ID_COLUMNS, CLASS_COLUMN),
                per_class_rows=True,
                truth="n_reference",
                shown=("dice", "hd95_mm", "nsd", "detected", "volume_ml_error", "assd_mm"),
                risk="1 - Dice",
            )
        )
        self.labels = tuple(labels)

    def summarise(self, rows: Rows) -> dict[str, float]:
        return self.with_aurc(summarise_segmentation(rows, self.spec.classes), rows)

    def intervals(self, rows: Rows) -> dict[str, Interval]:
        return segmentation_intervals(rows, self.spec.classes)

    def risk(self, rows: Rows) -> float:
        """1 - mean Dice over the classes that count."""
        return 1 - self._mean_dice(rows)

    def score(self, rows: Rows) -> float:
        mean = self._mean_dice(rows)
        return math.inf if math.isnan(mean) else mean

    def caption(self, case: CaseSlice) -> str:
        return f"{case.case}: mean Dice {case.score:.3f}"

    def plot_worst(self, slices: Sequence[CaseSlice], folder: Path) -> None:
        plot_overview(slices, self.labels, folder / "overview.png")
        for place, each in enumerate(slices, start=1):
            path = folder / f"{place:02}_{file_stem(each.case)}.png"
            plot_segmentation(each, self.labels, path)

    def writer(
        self, models: "Sequence[TrainedModel]", options: "PredictOptions"
    ) -> "PredictionWriter":
        from medlight.tasks.mask_writer import MaskWriter

        return MaskWriter(models, options)

    def describe_export(self, model: "TrainedModel", inference: Any) -> dict[str, Any]:
        from medlight.tasks.mask_writer import describe_windows

        return {"task": "segmentation", **describe_windows(model, inference)}

    def purpose(self, dims: int) -> str:
        return f"Labels each {'pixel' if dims == 2 else 'voxel'}"

    @staticmethod
    def _mean_dice(rows: Rows) -> float:
        dice = [float(row["dice"]) for row in rows if "dice" in row]
        known = [value for value in dice if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan
