"""What a score is called, in which unit it is, and which way is better: one table for all.

Names follow `<metric>[/<class>]` in metrics.json; the part before the slash stands here. Columns of
cases.csv have the same names. What is no score but a denominator stands in `COUNTS`.
"""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower", "zero"]


@dataclass(frozen=True, slots=True)
class Metric:
    """How a score is read.

    Attributes:
        better: "higher", "lower", or "zero" for signed errors, whose size counts.
        unit: "mm", "mL" or "" for shares and pure numbers.
        title: as the field writes it.
    """

    better: Direction
    unit: str
    title: str


METRICS: dict[str, Metric] = {
    # One value for each case and class of a segmentation.
    "dice": Metric("higher", "", "Dice"),
    "iou": Metric("higher", "", "IoU"),
    "hd95_mm": Metric("lower", "mm", "HD95"),
    "assd_mm": Metric("lower", "mm", "ASSD"),
    "nsd": Metric("higher", "", "NSD"),
    "volume_ml_error": Metric("zero", "mL", "volume error"),
    "volume_relative_error": Metric("zero", "", "relative volume error"),
    "detected": Metric("higher", "", "detected"),
    # Only as summaries of cases.
    "volume_ml_absolute_error": Metric("lower", "mL", "absolute volume error"),
    "accuracy": Metric("higher", "", "accuracy"),
    "recall": Metric("higher", "", "recall"),
    "balanced_accuracy": Metric("higher", "", "balanced accuracy"),
    "f1": Metric("higher", "", "F1"),
    "auroc": Metric("higher", "", "AUROC"),
    "auprc": Metric("higher", "", "AUPRC"),
    "sensitivity_at_specificity": Metric("higher", "", "sensitivity at 95 % spec."),
    "ece": Metric("lower", "", "ECE"),
    "brier": Metric("lower", "", "Brier"),
    "log_loss": Metric("lower", "", "log loss"),
    "aurc": Metric("lower", "", "AURC"),
    # One value for each case.
    "uncertainty": Metric("lower", "", "uncertainty"),
}

CASE_METRICS = tuple(METRICS)[:8]
"""The metric columns of a segmentation's cases.csv, in their order."""

COUNTS = ("cases", "not_scored", "false_negatives", "false_positives")
"""Summaries that are denominators: cases scored, cases where a class is neither in the reference
nor predicted, present cases that the prediction does not touch, absent cases with a prediction."""

SPECIFICITY = 0.95
"""Where sensitivity is read off the ROC curve."""


def segmentation_policy(tolerance_mm: float) -> str:
    """What was decided where the definition of a metric leaves it open; see docs/metrics.md.

    >>> segmentation_policy(1.0)
    'both empty: left out; one empty: Dice 0, distance = image diagonal; NSD at 1 mm'
    """
    return (
        "both empty: left out; one empty: Dice 0, distance = image diagonal; "
        f"NSD at {tolerance_mm:g} mm"
    )


CLASSIFICATION_POLICY = (
    f"macro means over classes that occur; sensitivity at {SPECIFICITY:.0%} specificity"
)
