"""A finished case with one class: its row, scores and figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medlight.core.outcome import ID_COLUMNS, OutcomeSpec
from medlight.metrics.bootstrap import Interval
from medlight.metrics.classification import classification_intervals, summarise_classification
from medlight.metrics.names import CLASSIFICATION_POLICY, catalogued
from medlight.report.figures import plot_mistakes
from medlight.report.slices import CaseSlice
from medlight.tasks.outcome import ConfusionChart, Outcome, Rows

if TYPE_CHECKING:
    from medlight.tasks.trained_model import TrainedModel

METRICS = (
    "accuracy", "brier", "recall", "auroc", "balanced_accuracy", "f1", "auprc",
    "sensitivity_at_specificity", "ece", "log_loss", "aurc",
)  # fmt: skip


class MulticlassOutcome(Outcome):
    """Rows hold `truth`, `prediction`, `p_<class>` and `uncertainty`."""

    calibrates = True

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            OutcomeSpec(
                kind="multiclass",
                classes=tuple(names),
                metrics=catalogued(METRICS),
                policy=CLASSIFICATION_POLICY,
                text_columns=(*ID_COLUMNS, "truth", "prediction"),
                truth="truth",
                probability="p_{class}",
                shown=("f1", "auroc", "auprc", "sensitivity_at_specificity"),
                risk="error",
            )
        )

    def summarise(self, rows: Rows) -> dict[str, float]:
        return self.with_aurc(summarise_classification(rows, self.spec.classes), rows)

    def intervals(self, rows: Rows) -> dict[str, Interval]:
        return classification_intervals(rows, self.spec.classes)

    def risk(self, rows: Rows) -> float:
        """1 for a wrong class, else 0."""
        return float(rows[0]["truth"] != rows[0]["prediction"])

    def score(self, rows: Rows) -> float:
        """The probability of the truth."""
        return float(rows[0][f"p_{rows[0]['truth']}"])

    def caption(self, case: CaseSlice) -> str:
        row = case.rows[0]
        return f"{case.case}: truth {row['truth']}, prediction {row['prediction']}"

    def charts(self, rows: Rows) -> dict[str, ConfusionChart]:
        place = {name: k for k, name in enumerate(self.spec.classes)}
        truth = [place[str(row["truth"])] for row in rows]
        prediction = [place[str(row["prediction"])] for row in rows]
        return {"confusion": ConfusionChart(truth, prediction, self.spec.classes)}

    def plot_worst(self, slices: Sequence[CaseSlice], folder: Path) -> None:
        plot_mistakes(slices, folder / "mistakes.png")

    def describe_export(self, model: "TrainedModel", inference: Any) -> dict[str, Any]:
        return {"task": "classification", "output": {"activation": "softmax"}}

    def purpose(self, dims: int) -> str:
        return "Names the class of an image"
