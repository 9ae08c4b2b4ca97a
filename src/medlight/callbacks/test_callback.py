"""What all who watch a test share: results as they come, and all rows at the end."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from medlight.core.case_result import CaseResult, Row
from medlight.tasks.base import Task
from medlight.tasks.ranks import gather_rows

STAGE = "test"


class TestCallback(pl.Callback):
    """Hands each result to `on_case` in the process that made it, and all rows to
    `on_test_results`.

    Rows come as the task makes them, in the order of the split, whatever the number of processes.
    Only rows are kept.
    """

    __test__ = False  # its name is not for pytest

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def on_case(self, trainer: pl.Trainer, result: CaseResult) -> None:
        """One case, right after its prediction."""

    def on_test_results(self, trainer: pl.Trainer, task: Task, rows: Sequence[Row]) -> None:
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
            self.on_case(trainer, result)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        task: Any = pl_module
        rows = data.in_test_order(gather_rows(self._rows))
        self.on_test_results(trainer, task, rows)


def add_case_columns(rows: Sequence[Row], data: Any) -> list[Row]:
    """Rows as in cases.csv, with patient, fold and stage: they do not leave this machine."""
    lines: list[Row] = []
    for row in rows:
        case = str(row["case"])
        known: Row = {"case": case, "patient": data.cases[data.case_of(case)].patient}
        lines.append({**known, "fold": data.split.fold, "stage": STAGE, **row})
    return lines
