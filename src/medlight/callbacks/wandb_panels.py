"""What a test found, at Weights & Biases: never a pixel or a name of private data."""

import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from pytorch_lightning.loggers import WandbLogger

from medlight.callbacks.epoch_reporter import TrialPruned
from medlight.callbacks.panels import gather_worst
from medlight.callbacks.test_callback import TestCallback
from medlight.core.case_result import CaseResult, Row
from medlight.io.atomic import create_once
from medlight.loggers.wandb import finish_runs
from medlight.report.slices import CaseSlice, WorstCases
from medlight.tasks.base import Task
from medlight.tasks.outcome import Outcome

log = logging.getLogger(__name__)


class WandbPanels(TestCallback):
    """Sends the worst cases with their masks, the table of cases and the confusion matrix, and
    ends the run.

    Does nothing without a W&B logger. Pixels and case ids are sent only where the data's sources
    are public, or where the logger's `share` says so; otherwise there are no pictures, and ids are
    hashes under a key that stays on this machine.

    Args:
        max_cases: how many cases to send as pictures.
    """

    def __init__(self, *, max_cases: int = 12) -> None:
        super().__init__()
        self.max_cases = max_cases
        self._worst: WorstCases | None = None

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_test_start(trainer, pl_module)
        task: Any = pl_module
        self._worst = WorstCases(self.max_cases, task.outcome.score)

    def on_case(self, trainer: pl.Trainer, result: CaseResult) -> None:
        if self._worst is not None and wandb_loggers(trainer) and self._may_share(trainer):
            self._worst.add(result)

    def on_test_results(self, trainer: pl.Trainer, task: Task, rows: Sequence[Row]) -> None:
        if not wandb_loggers(trainer) or self._worst is None:
            return
        worst = gather_worst(self._worst)
        if not trainer.is_global_zero:
            return
        names: Sequence[str] = task.spec.labels.names
        media = case_tables(
            rows, task.outcome, key=None if self._may_share(trainer) else hash_key()
        )
        if worst.slices:
            captions = [task.outcome.caption(each) for each in worst.slices]
            media["panels"] = wandb_images(worst.slices, captions, names)
        for logger in wandb_loggers(trainer):
            for name, value in media.items():
                log_or_warn(logger, f"test/{name}", value)

    def _may_share(self, trainer: pl.Trainer) -> bool:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        asked = all(getattr(logger, "share", False) for logger in wandb_loggers(trainer))
        return asked or bool(data.cases.public)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # After a fit the test goes on in the same run, where there is one.
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if wandb_loggers(trainer) and (stage == "test" or (stage == "fit" and not data.split.test)):
            finish_runs(trainer.loggers)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if wandb_loggers(trainer):
            finish_runs(trainer.loggers, failed=not isinstance(exception, TrialPruned))


def wandb_loggers(trainer: pl.Trainer) -> list[WandbLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


def log_or_warn(logger: WandbLogger, name: str, value: Any) -> None:
    """Log a value, or say why not: a server that is gone must not cost the run its results."""
    import wandb

    try:
        logger.log_metrics({name: value})
    except wandb.Error as error:
        log.warning("W&B rejected %s: %s", name, error)


def case_tables(rows: Sequence[Row], outcome: Outcome, *, key: bytes | None) -> dict[str, Any]:
    """The table of cases, their ids hashed if there is a key, and the outcome's charts."""
    import wandb

    columns: list[str | int] = list(dict.fromkeys(name for row in rows for name in row))
    hidden = [row | {"case": hash_case_id(str(row["case"]), key)} if key else row for row in rows]
    lines = [[row.get(str(column)) for column in columns] for row in hidden]
    media: dict[str, Any] = {"table": wandb.Table(columns=columns, data=lines)}
    for name, chart in outcome.charts(rows).items():
        media[name] = wandb.plot.confusion_matrix(
            y_true=list(chart.truth), preds=list(chart.prediction), class_names=list(chart.names)
        )
    if outcome.calibrates:
        media["calibration"] = calibration_plot(rows)
    return media


def calibration_plot(rows: Sequence[Row]) -> Any:
    """How often the predicted class was right, in tenths of its probability."""
    import wandb

    sure = np.array([float(row[f"p_{row['prediction']}"]) for row in rows])
    right = np.array([row["truth"] == row["prediction"] for row in rows])
    tenth = np.minimum((sure * 10).astype(int), 9)
    lines = [
        [float(sure[tenth == k].mean()), float(right[tenth == k].mean()), int((tenth == k).sum())]
        for k in np.unique(tenth)
    ]
    table = wandb.Table(columns=["probability", "share right", "cases"], data=lines)
    return wandb.plot.line(table, "probability", "share right", title="Calibration")


def wandb_images(
    slices: Sequence[CaseSlice], captions: Sequence[str], names: Sequence[str]
) -> list[Any]:
    """Pictures whose masks can be switched on and off in the browser, padded to one size, as W&B
    wants them."""
    import wandb

    labels = dict(enumerate(names))
    size = np.max([picture.image.shape[:2] for picture in slices], axis=0)
    sent = []
    for picture, caption in zip(slices, captions, strict=True):
        masks = {
            kind: {"mask_data": pad_to_size(mask, size), "class_labels": labels}
            for kind, mask in (("truth", picture.truth), ("prediction", picture.prediction))
            if mask is not None
        }
        pixels = pad_to_size(picture.image, size)
        sent.append(wandb.Image(pixels, caption=caption, masks=masks or None))
    return sent


def pad_to_size(array: NDArray[np.uint8], size: NDArray[np.int_]) -> NDArray[np.uint8]:
    """(H, W, ...) with zeros below and on the right."""
    below, right = size - array.shape[:2]
    return np.pad(array, [(0, below), (0, right)] + [(0, 0)] * (array.ndim - 2))


def hash_case_id(case: str, key: bytes) -> str:
    """The same for the same case on this machine; without the key nobody can guess ids."""
    return hmac.new(key, case.encode(), hashlib.sha256).hexdigest()[:16]


def hash_key() -> bytes:
    """The key of this user on this machine, made on first use and readable by nobody else."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (create_once(cache / "medlight" / "keys", _make_key) / "case_ids").read_bytes()


def _make_key(folder: Path) -> None:
    descriptor = os.open(folder / "case_ids", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
