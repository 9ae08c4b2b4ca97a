"""Temperature scaling: fitted on validation cases, reported before and after on test cases."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from rich import get_console

from medlight.callbacks.test_callback import TestCallback
from medlight.core.case_result import Row
from medlight.metrics.calibration import (
    apply_temperature,
    calibration_scores,
    fit_temperature,
    reliability,
)  # fmt: skip
from medlight.metrics.classification import rows_to_arrays
from medlight.report.score_figures import plot_reliability
from medlight.runs.files import write_text
from medlight.tasks.base import Task, gather_rows


class Calibration(TestCallback):
    """Writes `calibration.json` (the temperature, and ECE, Brier score and log loss before and
    after, on validation and test cases) and `panels/reliability.png`.

    Only classifiers of one class per image; others, and runs without a validation side, have none.
    The validation cases are predicted once more, by the weights that are tested.

    Args:
        run_dir: where to write.
        apply: divide the logits by the temperature, so that cases.csv and all scores rest on
            calibrated probabilities.
    """

    def __init__(self, *, run_dir: Path, apply: bool = False) -> None:
        super().__init__()
        self.run_dir, self.apply = Path(run_dir), apply
        self._validation: list[Row] = []

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_test_start(trainer, pl_module)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        task: Any = pl_module
        self._validation = []
        if task.spec.labels.kind != "multiclass" or not data.split.val:
            return
        task.temperature = 1.0
        rows = gather_rows(_predict_validation(trainer, task, data))
        self._validation = sorted(rows, key=lambda row: str(row["case"]))  # whatever the ranks
        if self.apply:
            task.temperature = fit_temperature(*_truth_and_probability(self._validation, task))

    def on_test_results(self, trainer: pl.Trainer, task: Task, rows: Sequence[Row]) -> None:
        if not self._validation or not rows or not trainer.is_global_zero:
            return
        truth, probability = _truth_and_probability(self._validation, task)
        temperature = fit_temperature(truth, probability)
        test_truth, test_probability = _truth_and_probability(rows, task)
        before = (
            apply_temperature(test_probability, 1 / temperature) if self.apply else test_probability
        )
        after = test_probability if self.apply else apply_temperature(test_probability, temperature)
        found: dict[str, Any] = {
            "temperature": temperature,
            "fitted_on": f"{len(truth)} validation cases",
            "applied": self.apply,
            "val": {
                "before": calibration_scores(truth, probability),
                "after": calibration_scores(truth, apply_temperature(probability, temperature)),
            },
            "test": {
                "before": calibration_scores(test_truth, before),
                "after": calibration_scores(test_truth, after),
            },
        }
        write_text(self.run_dir / "calibration.json", json.dumps(found, indent=2) + "\n")
        self._plot(found, test_truth, before, after)
        ece = {side: found["test"][side]["ece"] for side in ("before", "after")}
        get_console().print(
            f"Calibration: temperature {temperature:.3f} from {found['fitted_on']}; "
            f"test ECE {ece['before']:.4f}, with it {ece['after']:.4f}"
            + (" (applied)" if self.apply else "")
        )

    def _plot(self, found: Any, truth: Any, before: Any, after: Any) -> None:
        folder = self.run_dir / "panels"
        folder.mkdir(parents=True, exist_ok=True)
        sides = {"as predicted": ("before", before)}
        sides[f"at temperature {found['temperature']:.2f}"] = ("after", after)
        plot_reliability(
            {
                title: (reliability(truth, probability), found["test"][side]["ece"])
                for title, (side, probability) in sides.items()
            },
            folder / "reliability.png",
        )


def _predict_validation(trainer: pl.Trainer, task: Any, data: Any) -> list[Row]:
    """The rows of this process's share of the validation cases."""
    rows: list[Row] = []
    for batch in data.val_dataloader():
        batch = data.transfer_batch_to_device(batch, task.device, 0)
        with trainer.precision_plugin.forward_context():
            rows += [row for result in task.infer(batch) for row in result.rows]
    return rows


def _truth_and_probability(rows: Sequence[Row], task: Any) -> Any:
    truth, _, probability = rows_to_arrays(rows, task.spec.labels.names)
    return truth, probability
