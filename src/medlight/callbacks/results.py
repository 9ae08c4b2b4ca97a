"""What a test found: predictions, one row per case, scores, and a table to read."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
from rich import get_console

from medlight.callbacks.test_callback import STAGE, TestCallback, add_case_columns
from medlight.core.case_result import CaseResult, Row
from medlight.core.outcome import OutcomeSpec
from medlight.io.write import write_mask
from medlight.metrics.bootstrap import Interval
from medlight.report.score_table import score_table
from medlight.runs.directory import CASES_FILE, METRICS_FILE, OUTCOME_FILE, PREDICTION_FOLDER
from medlight.runs.files import csv_text, file_stem, write_texts
from medlight.tasks.base import Task


class Results(TestCallback):
    """Writes `predictions/`, `cases.csv` and `metrics.json`, and prints a table per class.

    Predictions are written as they come, by the process that made them, on the grid of their
    source_grid: NIfTI for volumes, PNG of label indices for images. Only rows are kept in memory.

    Args:
        run_dir: where to write.
        predictions: write the predicted masks.
    """

    def __init__(self, *, run_dir: Path, predictions: bool = True) -> None:
        super().__init__()
        self.run_dir = Path(run_dir)
        self.predictions = predictions

    def on_case(self, trainer: pl.Trainer, result: CaseResult) -> None:
        if self.predictions and result.source_prediction is not None:
            write_prediction(result, self.run_dir / PREDICTION_FOLDER)

    def on_test_results(self, trainer: pl.Trainer, task: Task, rows: Sequence[Row]) -> None:
        outcome = task.outcome
        scores = outcome.summarise(rows)
        named = {f"{STAGE}/{name}": float(value) for name, value in scores.items()}
        task.log_dict(named)
        if not trainer.is_global_zero:
            return
        lines = add_case_columns(rows, trainer.datamodule)  # type: ignore[attr-defined]
        intervals = outcome.intervals(lines)
        write_scores(self.run_dir, outcome.spec, lines, scores, intervals)
        console = get_console()
        console.print(score_table(outcome.spec, scores, intervals, width=console.width))


def write_scores(
    folder: Path,
    spec: OutcomeSpec,
    lines: Sequence[Row],
    scores: Mapping[str, float],
    intervals: Mapping[str, Interval],
) -> None:
    """`cases.csv`, `outcome.json`, which says how to read it, and `metrics.json`.

    It holds each score, `<metric>_low` and `<metric>_high`.
    """
    named = {f"{STAGE}/{name}": value for name, value in scores.items()}
    for name, found in intervals.items():
        metric, slash, label = name.partition("/")
        for end, value in (("low", found.low), ("high", found.high)):
            named[f"{STAGE}/{metric}_{end}{slash}{label}"] = value
    write_texts(
        {
            folder / OUTCOME_FILE: json.dumps(spec.as_dict(), indent=1) + "\n",
            folder / CASES_FILE: rows_to_csv(lines),
            folder / METRICS_FILE: scores_to_json(named),
        }
    )


def write_prediction(result: CaseResult, folder: Path) -> None:
    if result.source_prediction is None or result.source_grid is None:
        raise ValueError(f"case {result.case!r} has no prediction on its source grid")
    suffix = ".nii.gz" if result.source_prediction.ndim == 3 else ".png"
    write_mask(
        folder / (file_stem(result.case) + suffix), result.source_prediction, result.source_grid
    )


def rows_to_csv(rows: Sequence[Row]) -> str:
    """Columns in the order in which rows name them; numbers in full; nan as nan."""
    columns = dict.fromkeys(name for row in rows for name in row)
    return csv_text(list(columns), ([row.get(name, "") for name in columns] for row in rows))


def scores_to_json(scores: Mapping[str, float]) -> str:
    """Sorted by name; nan, which JSON lacks, as null."""
    known = {name: None if math.isnan(value) else value for name, value in scores.items()}
    return json.dumps(known, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
