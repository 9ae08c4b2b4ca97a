"""Test a task, and for a classifier fit a temperature on validation cases first.

Guo et al. 2017, On calibration of modern neural networks.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
from rich import get_console

from medlight.data.datamodule import DataModule
from medlight.metrics.calibration import (
    apply_temperature,
    calibration_scores,
    fit_temperature,
    reliability,
)
from medlight.metrics.classification import rows_to_arrays
from medlight.report.figures import plot_reliability
from medlight.runs.directory import CALIBRATION_FILE, PANEL_FOLDER
from medlight.runs.files import write_text
from medlight.tasks.base import Task


def test(
    task: Task,
    data: DataModule,
    trainer: pl.Trainer,
    run_dir: Path,
    *,
    checkpoint: Path | str | None,
    calibrate: bool,
) -> None:
    """Test the weights of a checkpoint on the test cases.

    A classifier of one class per image predicts the validation cases first. The temperature that
    fits them best, and ECE, Brier score and log loss before and after it, on validation and test
    cases, are written to `calibration.json`, and `panels/reliability.png` is drawn.

    Args:
        checkpoint: path of the weights; None: those the task has.
        calibrate: divide the logits by the temperature, so that cases.csv and all scores rest on
            calibrated probabilities.
    """
    path = None if checkpoint is None else str(checkpoint)
    if not (task.outcome.calibrates and data.split.val):
        trainer.test(task, datamodule=data, ckpt_path=path, verbose=False)
        return
    task.calibrate(1.0)
    with _rows_of_all_processes(task, trainer):
        trainer.validate(task, datamodule=data, ckpt_path=path, verbose=False)
    fitted = sorted(task.validation_rows, key=lambda row: str(row["case"]))  # whatever the ranks
    names = task.spec.labels.names
    truth, _, probability = rows_to_arrays(fitted, names)
    temperature = fit_temperature(truth, probability)
    if calibrate:
        task.calibrate(temperature)
    with _rows_of_all_processes(task, trainer):
        trainer.test(task, datamodule=data, ckpt_path=path, verbose=False)
    if not trainer.is_global_zero:
        return
    rows = data.in_test_order(task.test_rows)
    test_truth, _, tested = rows_to_arrays(rows, names)
    before = apply_temperature(tested, 1 / temperature) if calibrate else tested
    after = tested if calibrate else apply_temperature(tested, temperature)
    report: dict[str, Any] = {
        "temperature": temperature,
        "fitted_on": f"{len(truth)} validation cases",
        "applied": calibrate,
        "val": {
            "before": calibration_scores(truth, probability),
            "after": calibration_scores(truth, apply_temperature(probability, temperature)),
        },
        "test": {
            "before": calibration_scores(test_truth, before),
            "after": calibration_scores(test_truth, after),
        },
    }
    write_text(run_dir / CALIBRATION_FILE, json.dumps(report, indent=2) + "\n")
    _plot(report, test_truth, before, after, run_dir / PANEL_FOLDER)
    ece = {when: report["test"][when]["ece"] for when in ("before", "after")}
    get_console().print(
        f"Calibration: temperature {temperature:.3f} from {report['fitted_on']}; "
        f"test ECE {ece['before']:.4f}, with it {ece['after']:.4f}"
        + (" (applied)" if calibrate else "")
    )


@contextmanager
def _rows_of_all_processes(task: Task, trainer: pl.Trainer) -> Iterator[None]:
    """Bring home the rows of a task from processes that end with the trainer's call.

    Strategies such as ddp_fork start their processes anew for each call, and what a task keeps
    there is gone afterwards; in all others, the rows are here already.
    """
    with TemporaryDirectory() as folder:
        keeper = _KeepRows(Path(folder) / "rows.json")
        trainer.callbacks.append(keeper)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            trainer.callbacks.remove(keeper)  # type: ignore[attr-defined]
        if keeper.path.is_file():
            kept = json.loads(keeper.path.read_text(encoding="utf-8"))
            task.validation_rows, task.test_rows = kept["val"], kept["test"]


class _KeepRows(pl.Callback):
    """Write the rows of all ranks to a file, in processes that the trainer started."""

    def __init__(self, path: Path) -> None:
        self.path, self.process = path, os.getpid()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and os.getpid() != self.process:
            rows = {"val": pl_module.validation_rows, "test": pl_module.test_rows}
            self.path.write_text(json.dumps(rows), encoding="utf-8")

    on_test_end = on_validation_end


def _plot(report: dict[str, Any], truth: Any, before: Any, after: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    curves = {
        "as predicted": ("before", before),
        f"at temperature {report['temperature']:.2f}": ("after", after),
    }
    plot_reliability(
        {
            title: (reliability(truth, probability), report["test"][when]["ece"])
            for title, (when, probability) in curves.items()
        },
        folder / "reliability.png",
    )
