"""Where a result comes from: code, data, machine and command, without naming host or user."""

import json
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

import medlight
from medlight.callbacks.partial import is_less_than_an_epoch, left_out_of_test, left_out_of_training
from medlight.callbacks.throughput import TrainingThroughput
from medlight.runs.directory import PARTIAL, PROVENANCE_FILE, SPLIT_FILE
from medlight.runs.environment import (
    code_version,
    command_line,
    forward_flops,
    hardware_info,
    net_info,
    peak_memory_mb,
)
from medlight.runs.files import write_text
from medlight.runs.private import strip_local_paths

log = logging.getLogger(__name__)


class Provenance(pl.Callback):
    """Writes `provenance.json` and `split.json` at the start, and completes the first at the end.

    What does not depend on this run alone (versions, hardware, data, net) also goes to the
    loggers, and the facts of the data into every checkpoint, under the key "medlight".

    Args:
        run_dir: where to write.
    """

    def __init__(self, *, run_dir: Path) -> None:
        self.run_dir = Path(run_dir)
        self._record: dict[str, Any] = {}
        self._throughput = TrainingThroughput()
        self._before: dict[str, Any] = {"fit_seconds": 0.0, "sessions": 0.0}
        self._started = 0.0
        self._trains = False
        self._left_out: list[str] = []

    def state_dict(self) -> dict[str, Any]:
        """Seconds of training so far, so that a resumed run counts on, and what it left out."""
        return {
            "fit_seconds": self._fit_seconds(),
            "sessions": self._before["sessions"] + 1,
            "left_out": self._left_out,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = dict(state_dict)

    def _fit_seconds(self) -> float:
        return float(self._before["fit_seconds"]) + time.monotonic() - self._started

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Plain containers only: `torch.load(weights_only=True)` must read them."""
        spec: Any = pl_module.spec
        checkpoint["medlight"] = {
            "version": medlight.__version__,
            "spec": spec.as_dict(),
            "data": self._record.get("data"),
            "split": self._record.get("split"),
        }

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()
        self._trains = False
        self._begin(trainer, pl_module, earlier={})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What a resume needs has been read: from here on it changes the run."""
        self._trains = True
        self._record["times"]["sessions"] = int(self._before["sessions"]) + 1
        left_out = {*self._before.get("left_out", ()), *left_out_of_training(trainer)}
        self._left_out = self._record[PARTIAL]["fit"] = sorted(left_out)
        self._write(trainer)
        self._write_split(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._throughput.start()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._throughput.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._throughput.batch(trainer, batch)
        if "flops" not in self._record["net"] and trainer.is_global_zero:
            image: Tensor = batch["image"]
            self._record["net"]["flops"] = forward_flops(pl_module, image.shape[1:])

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()
        if not self._record:
            path = self.run_dir / PROVENANCE_FILE
            self._begin(trainer, pl_module, json.loads(path.read_text()) if path.exists() else {})
            self._write_split(trainer)
        self._record["status"] = "running"
        self._record.setdefault(PARTIAL, {})["test"] = left_out_of_test(trainer)
        self._write(trainer)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._record["times"]["test_seconds"] = round(time.monotonic() - self._started, 2)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._end(trainer, stage, "finished")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        stopped = isinstance(exception, (KeyboardInterrupt, SIGTERMException))
        self._end(trainer, trainer.state.fn, "interrupted" if stopped else "failed")

    def _begin(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, earlier: dict[str, Any]
    ) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        task: Any = pl_module
        spec = {
            "code": code_version(),
            "hardware": hardware_info(trainer, pl_module),
            "data": {
                "name": data.cases.name,
                "sources": [
                    {"name": s.name, "version": s.version, "licence": s.licence}
                    for s in data.cases.sources
                ],
                "fingerprint": data.cases.fingerprint(),
                **_data_version(data),
            },
            "split": {
                "fold": data.split.fold,
                "hash": data.split.hash,
                **{side: len(getattr(data.split, side)) for side in ("train", "val", "test")},
            },
            "net": net_info(pl_module),
            "policy": task.outcome.spec.policy,
        }
        for logger in trainer.loggers:
            logger.log_hyperparams({"provenance": spec})
        seed = os.environ.get("PL_GLOBAL_SEED")
        self._record = {
            "status": "running",
            **spec,
            "seed": data.seed if seed is None else int(seed),
            PARTIAL: {},
            "command": [strip_local_paths(word) for word in command_line()],
            "times": {"started": datetime.now(UTC).isoformat(timespec="seconds")},
            **earlier,
        }

    def _end(self, trainer: pl.Trainer, stage: str | None, status: str) -> None:
        if not self._record:
            return
        if stage == "fit" and not self._trains and (self.run_dir / PROVENANCE_FILE).exists():
            self._record = {}  # nothing was trained: what is there stays true
            return
        self._record["status"] = status
        self._record["times"]["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._record["peak_memory_mb"] = peak_memory_mb()
        if stage == "fit":
            self._record["times"]["fit_seconds"] = round(self._fit_seconds(), 2)
            self._record["training"] = {
                "epochs": trainer.current_epoch,
                "steps": trainer.global_step,
                "samples_per_s": round(self._throughput.samples_per_s, 2)
                if self._throughput.seconds
                else None,
            }
            if self._trains and is_less_than_an_epoch(trainer):
                self._record[PARTIAL]["fit"] = [*self._left_out, "less than an epoch"]
        parts = self._record.get(PARTIAL, {}).values()
        left_out = list(dict.fromkeys(each for part in parts for each in part))
        if status == "finished" and left_out:
            self._record["status"] = PARTIAL
            if stage != "fit" and trainer.is_global_zero:
                log.info(
                    "A partial run, no result (%s): compare leaves it out", ", ".join(left_out)
                )
        self._write(trainer)

    def _write_split(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            split = json.dumps(trainer.datamodule.split.as_dict(), indent=1)  # type: ignore[attr-defined]
            write_text(self.run_dir / SPLIT_FILE, split + "\n")

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            text = json.dumps(self._record, indent=2, ensure_ascii=False)
            write_text(self.run_dir / PROVENANCE_FILE, text + "\n")


def _data_version(data: Any) -> dict[str, Any]:
    """Which version of the data was used, and without whom. Who withdrew is counted, not named."""
    version, out = getattr(data, "version", None), getattr(data, "exclusions", None)
    said: dict[str, Any] = {"version": None if version is None else version.as_dict()}
    if out is not None:
        said |= {"excluded": list(out.excluded), "withdrawn": len(out.withdrawn)}
    return said
