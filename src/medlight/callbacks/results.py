"""What a test found: predictions, one row per case, scores, and a table to read."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from rich import get_console
from rich.table import Table

from medlight.callbacks.files import file_stem, write_text
from medlight.io.write import write_mask
from medlight.tasks.base import CaseResult, Row, gather_rows

STAGE = "test"
TITLES = {"dice": "Dice", "f1": "F1", "auroc": "AUROC"}
"""How the field writes what metrics.json spells in small letters."""


class Results(pl.Callback):
    """Writes `predictions/`, `cases.csv` and `metrics.json`, and prints a table per class.

    Predictions are written as they come, by the process that made them, on the grid of their
    source: NIfTI for volumes, PNG of label indices for images. Only rows are kept in memory.

    Args:
        run_dir: where to write.
        predictions: write the predicted masks.
    """

    def __init__(self, *, run_dir: Path, predictions: bool = True) -> None:
        self.run_dir = Path(run_dir)
        self.predictions = predictions
        self._rows: list[Row] = []

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._rows = []

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        results: list[CaseResult] = outputs
        for result in results:
            self._rows += result.rows
            if self.predictions and result.restored is not None:
                write_prediction(result, self.run_dir / "predictions")

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        place = {case: number for number, case in enumerate(data.split.test)}
        rows = sorted(gather_rows(self._rows), key=lambda row: place[str(row["case"])])
        task: Any = pl_module
        scores: dict[str, float] = task.summarise(rows)
        named = {f"{STAGE}/{name}": value for name, value in scores.items()}
        pl_module.log_dict({name: float(value) for name, value in named.items()})
        if not trainer.is_global_zero:
            return
        lines: list[Row] = []
        for row in rows:
            case = str(row["case"])
            known: Row = {"case": case, "patient": data.cases[case].patient}
            lines.append({**known, "fold": data.split.fold, "stage": STAGE, **row})
        write_text(self.run_dir / "cases.csv", as_csv(lines))
        write_text(self.run_dir / "metrics.json", as_json(named))
        get_console().print(score_table(scores))


def write_prediction(result: CaseResult, folder: Path) -> None:
    if result.restored is None or result.source is None:
        raise ValueError(f"case {result.case!r} has no prediction on its source grid")
    suffix = ".nii.gz" if result.restored.ndim == 3 else ".png"
    write_mask(folder / (file_stem(result.case) + suffix), result.restored, result.source)


def as_csv(rows: Sequence[Row]) -> str:
    """Columns in the order in which rows name them; numbers in full; nan as nan."""
    columns = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json(scores: Mapping[str, float]) -> str:
    """Sorted by name; nan, which JSON lacks, as null."""
    known = {name: None if math.isnan(value) else value for name, value in scores.items()}
    return json.dumps(known, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def score_table(scores: Mapping[str, float]) -> Table:
    """One line a class and one for all, from names `<metric>` and `<metric>/<class>`.

    A metric without classes (accuracy) stands above the table.
    """
    split = {name: name.partition("/")[::2] for name in scores}
    classes = dict.fromkeys(label for _, label in split.values() if label)
    columns = dict.fromkeys(metric for metric, label in split.values() if label)
    alone = [name for name, (metric, label) in split.items() if not label and metric not in columns]
    head = ", ".join(f"{TITLES.get(name, name)} {shown(scores[name])}" for name in alone)
    table = Table(title=f"Test: {head}" if head else "Test", title_justify="left")
    table.add_column("class")
    for metric in columns:
        table.add_column(TITLES.get(metric, metric.replace("_", " ")), justify="right")
    for label in classes:
        table.add_row(label, *(shown(scores.get(f"{metric}/{label}")) for metric in columns))
    table.add_section()
    table.add_row("all", *(shown(scores.get(metric)) for metric in columns), style="bold")
    return table


def shown(value: float | None) -> str:
    """Four decimals for a score, none for a count, a dash for nothing."""
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
