"""What all who watch a test share: results as they come, and all rows at the end."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from medlight.core.case_result import CaseResult, Row
from medlight.tasks.base import Task, gather_rows

STAGE = "test"


class Tested(pl.Callback):
    """Hands each result to `take` in the process that made it, and all rows to `finish`.

    Rows come as the task makes them, in the order of the split, whatever the number of processes.
    Only rows are kept.
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def take(self, trainer: pl.Trainer, result: CaseResult) -> None:
        """One case, right after its prediction."""

    def finish(self, trainer: pl.Trainer, task: Task, rows: Sequence[Row]) -> None:
        """All cases; called in every process, for what they must do together."""

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
            self.take(trainer, result)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        task: Any = pl_module
        place = {case: number for number, case in enumerate(data.split.test)}
        rows = sorted(gather_rows(self._rows), key=lambda row: place[str(row["case"])])
        self.finish(trainer, task, rows)


def lines_of(rows: Sequence[Row], data: Any) -> list[Row]:
    """Rows as in cases.csv, with patient, fold and stage: they do not leave this machine."""
    lines: list[Row] = []
    for row in rows:
        case = str(row["case"])
        known: Row = {"case": case, "patient": data.cases[case].patient}
        lines.append({**known, "fold": data.split.fold, "stage": STAGE, **row})
    return lines
