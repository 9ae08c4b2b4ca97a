"""What a kind of task makes of a finished case: one object a kind, and all that others ask.

Callbacks, evaluate, predict, export, compare and sweeps never look at the kind of a task: they ask
its `Outcome`. Nothing here needs torch; writers and heads import it when they are asked for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medlight.core.outcome import UNCERTAINTY, OutcomeSpec, rows_by_case
from medlight.metrics.bootstrap import Interval, bootstrap_interval
from medlight.metrics.selective import CaseRisk, aurc
from medlight.report.figures import plot_cases
from medlight.report.slices import CaseSlice

if TYPE_CHECKING:
    from medlight.tasks.trained_model import PredictionWriter, PredictOptions, TrainedModel

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ConfusionChart:
    """How often each class was answered with each: indices of `names`, one pair a case."""

    truth: Sequence[int]
    prediction: Sequence[int]
    names: Sequence[str]


class Outcome:
    """The defaults suit a task with one row a case whose metrics are columns of cases.csv.

    Args:
        spec: columns and metrics; saved beside cases.csv.
    """

    calibrates = False
    """Whether a temperature can be fitted: one class an image, answered with probabilities."""

    def __init__(self, spec: OutcomeSpec) -> None:
        self.spec = spec

    def summarise(self, rows: Rows) -> dict[str, float]:
        """Rows of cases to scores: "<metric>" or "<metric>/<class>" to a number."""
        scores = {name: _mean(rows, name) for name in self._case_metrics()}
        return self.with_aurc({**scores, "cases": len(rows)}, rows)

    def with_aurc(self, scores: dict[str, float], rows: Rows) -> dict[str, float]:
        """The scores, and whether uncertainty finds the errors, if rows say how uncertain."""
        if rows and UNCERTAINTY in rows[0]:
            scores["aurc"] = aurc(self.risks(rows))
        return scores

    def intervals(self, rows: Rows) -> dict[str, Interval]:
        """95 % bootstrap intervals by patient of these scores; rows need their `patient`."""
        patients = [row["patient"] for row in rows]
        return {
            name: bootstrap_interval([float(row[name]) for row in rows], patients)
            for name in (self._case_metrics() if rows else ())
        }

    def risk(self, rows: Rows) -> float:
        """What is lost in one case, from its rows; larger is worse, nan if nobody knows."""
        name = self.spec.main
        values = [float(row[name]) for row in rows if name in row]
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return math.nan
        better = self.spec.metrics[name].better
        mean = sum(map(abs, known) if better == "zero" else known) / len(known)
        return -mean if better == "higher" else mean

    def score(self, rows: Rows) -> float:
        """How good a case is: the lowest are drawn first, inf comes last."""
        risk = self.risk(rows)
        return math.inf if math.isnan(risk) else -risk

    def risks(self, rows: Rows) -> list[CaseRisk]:
        """Of the cases whose rows have an uncertainty."""
        return [
            CaseRisk(case, float(own[0][UNCERTAINTY]), self.risk(own))
            for case, own in rows_by_case(rows).items()
            if UNCERTAINTY in own[0]
        ]

    def caption(self, case: CaseSlice) -> str:
        """One line below the picture of a case."""
        name = self.spec.main
        row = case.rows[0] if case.rows else {}
        value = row.get(name)
        shown = f": {self.spec.metrics[name].title} {float(value):.3g}" if value is not None else ""
        return f"{case.case}{shown}"

    def charts(self, rows: Rows) -> dict[str, ConfusionChart]:
        """Figures over all cases, by name."""
        return {}

    def plot_worst(self, slices: Sequence[CaseSlice], folder: Path) -> None:
        """Draw the worst cases into a folder, which exists."""
        plot_cases(slices, [self.caption(each) for each in slices], folder / "worst.png")

    def writer(
        self, models: "Sequence[TrainedModel]", options: "PredictOptions"
    ) -> "PredictionWriter":
        """What writes the predictions of files; by default one line of a csv for each."""
        from medlight.tasks.csv_writer import CsvWriter

        return CsvWriter(models, options)

    def describe_export(self, model: "TrainedModel", inference: Any) -> dict[str, Any]:
        """What an exported net does not say of itself: plain data for `artifact_run.py`."""
        return {"task": self.spec.kind, "output": {"activation": "none"}}

    def purpose(self, dims: int) -> str:
        """What a model does, for its card: the beginning of a sentence."""
        return f"Predicts ({self.spec.kind})"

    def _case_metrics(self) -> list[str]:
        return [name for name, metric in self.spec.metrics.items() if metric.value == "column"]


def _mean(rows: Rows, name: str) -> float:
    values = np.array([float(row[name]) for row in rows], dtype=np.float64)
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
