"""The outcome of runs from before outcome.json: their columns say which of three kinds they are."""

from collections.abc import Iterable

from medlight.core.errors import DataError
from medlight.core.outcome import CLASS_COLUMN, OutcomeSpec
from medlight.tasks.multiclass_outcome import MulticlassOutcome
from medlight.tasks.multilabel_outcome import MultilabelOutcome
from medlight.tasks.segmentation_outcome import SegmentationOutcome


def outcome_of_columns(columns: Iterable[str]) -> OutcomeSpec:
    """Raises DataError for columns that no version wrote."""
    names = list(columns)
    classes = [name.removeprefix("p_") for name in names if name.startswith("p_")]
    if CLASS_COLUMN in names:
        return SegmentationOutcome((), policy="", labels=()).spec
    if "truth" in names and classes:
        return MulticlassOutcome(classes).spec
    if classes and any(name.startswith("truth_") for name in names):
        return MultilabelOutcome(classes).spec
    raise DataError("no outcome.json, and columns that say nothing: test the run again")
