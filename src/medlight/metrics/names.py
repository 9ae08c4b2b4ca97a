"""The scores of the field: how each is called, in which unit it is, and which way is better.

Names follow `<metric>[/<class>]` in metrics.json; the part before the slash is listed here. Columns
of cases.csv have the same names. Denominators, which are not scores, are in `COUNTS`.
"""

from collections.abc import Sequence

from medlight.core.outcome import Metric

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
    "volume_ml_absolute_error": Metric("lower", "mL", "absolute volume error", value=""),
    "accuracy": Metric("higher", "", "accuracy", "case", "correct", "mcnemar"),
    "brier": Metric("lower", "", "Brier", "case", "brier"),
    "recall": Metric("higher", "", "recall", "class", "correct_in_class", macro=False),
    "auroc": Metric("higher", "", "AUROC", "pooled", "auroc", "delong"),
    "balanced_accuracy": Metric("higher", "", "balanced accuracy", "pooled", ""),
    "f1": Metric("higher", "", "F1", "pooled", ""),
    "auprc": Metric("higher", "", "AUPRC", "pooled", ""),
    "sensitivity_at_specificity": Metric("higher", "", "sensitivity at 95 % spec.", "pooled", ""),
    "ece": Metric("lower", "", "ECE", "pooled", ""),
    "log_loss": Metric("lower", "", "log loss", "pooled", ""),
    "aurc": Metric("lower", "", "AURC", "pooled", ""),
}

CASE_METRICS = tuple(METRICS)[:8]
"""The metric columns of a segmentation's cases.csv, in their order."""


def catalogued(names: Sequence[str]) -> dict[str, Metric]:
    """Some of these metrics, in the order of their names."""
    return {name: METRICS[name] for name in names}


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
