"""A finished case with several yes-or-no labels: its row, scores and figures."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medlight.core.outcome import Metric, OutcomeSpec
from medlight.metrics.bootstrap import Interval
from medlight.metrics.classification import multilabel_intervals, summarise_multilabel
from medlight.metrics.names import CLASSIFICATION_POLICY, catalogued
from medlight.report.slices import CaseSlice
from medlight.tasks.outcome import Outcome, Rows

if TYPE_CHECKING:
    from medlight.tasks.trained_model import TrainedModel


class MultilabelOutcome(Outcome):
    """Rows hold `truth_<label>` (1, 0 or nan), `p_<label>` and `uncertainty`."""

    def __init__(self, names: Sequence[str]) -> None:
        known = catalogued(
            ("auroc", "accuracy", "brier", "auprc", "f1", "sensitivity_at_specificity", "ece",
             "log_loss", "aurc")
        )  # fmt: skip
        metrics: dict[str, Metric] = {
            **known,
            "accuracy": replace(known["accuracy"], level="class", value="label_correct"),
            "brier": replace(known["brier"], level="class", value="label_brier"),
        }
        super().__init__(
            OutcomeSpec(
                kind="multilabel",
                classes=tuple(names),
                metrics=metrics,
                policy=CLASSIFICATION_POLICY,
                truth="truth_{class}",
                probability="p_{class}",
                shown=("auroc", "auprc", "f1", "sensitivity_at_specificity"),
                risk="mean error of probability",
            )
        )

    def summarise(self, rows: Rows) -> dict[str, float]:
        return self.with_aurc(summarise_multilabel(rows, self.spec.classes), rows)

    def intervals(self, rows: Rows) -> dict[str, Interval]:
        return multilabel_intervals(rows, self.spec.classes)

    def risk(self, rows: Rows) -> float:
        """Mean distance of the probabilities from the truth, over the labels that are known."""
        return _mean([abs(p - truth) for truth, p in self._pairs(rows)])

    def score(self, rows: Rows) -> float:
        """The lowest probability given to a true answer; the labels nobody looked for aside."""
        known = [1 - abs(p - truth) for truth, p in self._pairs(rows)]
        return min(known, default=math.inf)

    def caption(self, case: CaseSlice) -> str:
        wrong = [
            f"{name} {'missed' if truth else 'false'} ({p:.2f})"
            for name, (truth, p) in zip(self.spec.classes, self._all_pairs(case.rows), strict=True)
            if not math.isnan(truth) and (p > 0.5) != bool(truth)
        ]
        return f"{case.case}: {', '.join(wrong) or 'all right'}"

    def describe_export(self, model: "TrainedModel", inference: Any) -> dict[str, Any]:
        return {"task": "multilabel", "output": {"activation": "sigmoid"}}

    def purpose(self, dims: int) -> str:
        return "Says of each label whether an image shows it"

    def _pairs(self, rows: Rows) -> list[tuple[float, float]]:
        return [pair for pair in self._all_pairs(rows) if not math.isnan(pair[0])]

    def _all_pairs(self, rows: Rows) -> list[tuple[float, float]]:
        row = rows[0] if rows else {}
        nan = math.nan
        return [
            (float(row.get(f"truth_{name}", nan)), float(row.get(f"p_{name}", nan)))
            for name in self.spec.classes
        ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
