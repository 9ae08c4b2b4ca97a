"""What the environment gets wrong ends no training: W&B, the scheduler, and its signal."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest
import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from medlight.callbacks.last_checkpoint import LastCheckpoint
from medlight.cli.distributed import rank, run_stamp
from medlight.core.errors import ConfigError
from medlight.loggers.wandb import WandbRunLogger, usable_mode


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith(("WANDB", "SLURM"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"WANDB_MODE": "rubbish"},
        {"WANDB_BASE_URL": "nonsense"},
        {"WANDB_API_KEY": "bad"},
        {"WANDB_MODE": "", "WANDB_BASE_URL": "http://"},
    ],
    ids=str,
)
def test_a_wrong_setting_of_wandb_is_told_and_the_run_is_offline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, wrong: dict[str, str]
) -> None:
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    assert usable_mode("auto") == "offline"
    (record,) = [r for r in caplog.records if r.name == "medlight.loggers.wandb"]
    assert record.levelno == logging.WARNING
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize(
    "error", [wandb.errors.UsageError("no key"), wandb.errors.CommError("no answer")], ids=repr
)
@pytest.mark.parametrize("offline", ["auto", False])
def test_a_server_that_refuses_leaves_the_run_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: Any, error: Exception
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    answers = iter([error, "a run"])

    def experiment(self: WandbLogger) -> Any:
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    monkeypatch.setattr(WandbLogger, "experiment", property(experiment))
    logger = WandbRunLogger(run_dir=tmp_path, offline=offline)
    assert logger.experiment == "a run"
    assert logger._wandb_init["settings"].mode == "offline"


def test_a_signal_between_training_and_test_is_obeyed(tmp_path: Path) -> None:
    callback: Any = LastCheckpoint(dirpath=tmp_path)
    callback.setup(None, None, "fit")
    callback._on_sigterm()
    with pytest.raises(SIGTERMException):
        callback.setup(None, None, "test")
    callback.setup(None, None, "test")
    callback.setup(None, None, "fit")
    assert not callback._stop_requested


@pytest.mark.parametrize("name", ["SLURM_PROCID", "RANK", "LOCAL_RANK"])
def test_a_number_of_the_scheduler_that_is_none_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for each in ("SLURM_PROCID", "RANK", "LOCAL_RANK"):
        monkeypatch.setenv(each, "")
    assert rank() == 0
    monkeypatch.setenv(name, "x")
    with pytest.raises(ConfigError, match=f"{name}='x'.*unset {name}"):
        rank()


def test_a_number_of_tasks_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "x")
    with pytest.raises(ConfigError, match="SLURM_NTASKS='x'"):
        run_stamp.__wrapped__("token")
