"""Which cases a human should look at first, and whether that list is worth anything."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from rich import get_console
from rich.table import Table

from medlight.callbacks.results import rows_to_csv
from medlight.callbacks.test_callback import TestCallback
from medlight.core.case_result import Row
from medlight.metrics.selective import CaseRisk, aurc, rank_by_uncertainty
from medlight.report.console_table import console_table
from medlight.report.figures import plot_risk_coverage
from medlight.report.score_table import format_score
from medlight.runs.directory import PANEL_FOLDER, REVIEW_ORDER_FILE
from medlight.runs.files import write_text
from medlight.tasks.base import Task
from medlight.tasks.outcome import Outcome


class Selective(TestCallback):
    """Writes `look_first.csv`, all cases by falling uncertainty, and `panels/risk_coverage.png`;
    prints the first of them.

    Args:
        run_dir: where to write.
        show: how many cases to print.
    """

    def __init__(self, *, run_dir: Path, show: int = 5) -> None:
        super().__init__()
        self.run_dir, self.show = Path(run_dir), show

    def on_test_results(self, trainer: pl.Trainer, task: Task, rows: Sequence[Row]) -> None:
        if trainer.is_global_zero:
            write_review_order(self.run_dir, task.outcome, rows, show=self.show)


def write_review_order(run_dir: Path, outcome: Outcome, rows: Sequence[Row], *, show: int) -> None:
    """List, figure and table of the cases whose rows have an uncertainty."""
    cases = rank_by_uncertainty(outcome.risks(rows))
    if not cases:
        return
    lines: list[Row] = [
        {"rank": rank, "case": each.case, "uncertainty": each.uncertainty, "risk": each.risk}
        for rank, each in enumerate(cases, start=1)
    ]
    write_text(run_dir / REVIEW_ORDER_FILE, rows_to_csv(lines))
    known = [each for each in cases if each.known]
    if len(known) > 1:
        (run_dir / PANEL_FOLDER).mkdir(parents=True, exist_ok=True)
        uncertainty = np.array([each.uncertainty for each in known])
        risk = np.array([each.risk for each in known])
        path = run_dir / PANEL_FOLDER / "risk_coverage.png"
        plot_risk_coverage(uncertainty, risk, path, risk_name=outcome.spec.risk)
    if show:
        console = get_console()
        area = format_score(aurc(cases))
        console.print(f"Look at these first (AURC {area}; all in look_first.csv):")
        console.print(_table(cases[:show], outcome.spec.risk, console.width))


def _table(cases: Sequence[CaseRisk], risk_name: str, width: int) -> Table:
    return console_table(
        "",
        ["case", "uncertainty", risk_name],
        [[each.case, format_score(each.uncertainty), format_score(each.risk)] for each in cases],
        width=width,
    )
