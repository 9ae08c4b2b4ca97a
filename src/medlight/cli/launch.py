"""From a composed configuration to built objects, and on to the job."""

import logging
import os
import signal
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException

from medlight.callbacks.best_checkpoint import BestCheckpoint
from medlight.cli import distributed
from medlight.cli.bounds import check_bounds
from medlight.cli.build import instantiate_group, load_trained, resolve_hardware
from medlight.cli.config import (
    load_config,
    portable_config,
    resolve_portable_config,
    resolve_saved_config,
    save_portable_config,
)
from medlight.cli.rerun import find_trained_runs
from medlight.core.errors import ConfigError
from medlight.core.malloc import tune_malloc
from medlight.data.datamodule import DataModule
from medlight.data.kept_split import keep_split
from medlight.jobs.check import check_before_training
from medlight.jobs.verb import Need, needs_of
from medlight.runs.directory import CONFIG_FILE, SPLIT_FILE, RunDirectory
from medlight.tasks.base import Task
from medlight.tasks.checkpoint import CheckpointFiles

log = logging.getLogger(__name__)

IGNORED_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning 2.6 on torch 2.13
    r"The number of training batches",  # an epoch shorter than the logging interval is fine
    r"Checkpoint directory .* exists and is not empty",  # as it should be on a resume
    r"The '\w+_dataloader' does not have many workers",  # small data sits in memory
    r"`ModelCheckpoint\(.*could not find the monitored key",  # `fit` says so in a line
    r"Be aware that when using `ckpt_path`, callbacks used",  # one was left out at a resume
    r"It is recommended to use `self.log",  # what is logged is of all ranks already
)


def run(cfg: DictConfig, run_dir: Path, *, callbacks: Sequence[pl.Callback] = ()) -> float | None:
    """Build what the verb of a configuration needs, call it, and say where the results are.

    Args:
        cfg: composed; what only the machine can decide is set in place.
        run_dir: where results go.
        callbacks: besides those of the configuration.

    Returns:
        The best validation score of a training.

    Raises:
        ConfigError: the verb lacks a setting or a run.
    """
    distributed.setup_rank()
    rank_zero_only.rank = distributed.rank()  # type: ignore[attr-defined]  # Lightning looks at import
    tune_malloc()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)  # their reports
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    check_bounds(cfg)
    if missing := sorted(key.rpartition(".")[2] for key in OmegaConf.missing_keys(cfg.job)):
        raise ConfigError(f"this verb needs {' and '.join(f'{key}=...' for key in missing)}")
    job = instantiate(cfg.job, _partial_=True)
    needs = needs_of(job.func)
    runs = find_trained_runs(cfg.run) if cfg.run else []
    _check_runs(cfg, needs, runs)
    anew = {"data", "run"} <= needs
    config = portable_config(fit_config(cfg, runs[0]) if runs else cfg, run_dir)
    save = partial(save_portable_config, config, run_dir / CONFIG_FILE)
    trains = "resume" in cfg.job
    resolve_hardware(cfg.trainer)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    built: dict[Need, Any] = {"run_dir": run_dir, "runs": runs, "run": next(iter(runs), None)}
    built["load"] = partial(load_trained, trainer=cfg.trainer)
    if "data" in needs:
        for each in runs:  # said before the data are looked for, which may not be here
            RunDirectory(each).split()
        built["data"] = instantiate(cfg.data, _convert_="all")
        kept = run_dir if trains and cfg.job.resume else built["run"]
        if kept and not anew and RunDirectory(kept).has(SPLIT_FILE):
            built["data"].split = keep_split(
                RunDirectory(kept).split(),
                built["data"],
                Path(os.path.relpath(kept)),
                trains=trains,
            )
    if "task" in needs:
        data: DataModule = built["data"]
        rank_zero_only(check_before_training)(data)
        data.setup()
        task: Task = instantiate(cfg.task, _convert_="all")(spec=data.spec)
        if len(runs) == 1:
            task.use_choices(runs[0])
        built["task"] = task
        own: list[pl.Callback] = [BestCheckpoint(dirpath=RunDirectory(run_dir).checkpoints)]
        if trains:
            own.append(OnceTraining(save, run_dir / CONFIG_FILE))
        built["trainer"] = trainer = _build_trainer(cfg, data, [*callbacks, *own])
        if trainer.is_global_zero:
            log.info(describe_run(data, task))
            for logger in trainer.loggers:
                logger.log_hyperparams(
                    resolve_saved_config(runs[0]) if runs else resolve_portable_config(config)
                )
    if distributed.rank() == 0 and not trains and (not runs or anew):
        save()
    try:
        score: float | None = job(**{need: built[need] for need in needs})
    except SIGTERMException as stopped:
        raise SystemExit(128 + signal.SIGTERM) from stopped  # as the shell says it
    if "task" not in needs:
        return None
    if built["trainer"].is_global_zero:
        log.info("Results saved to %s", os.path.relpath(run_dir))
    return score


class OnceTraining(pl.Callback):
    """Saves the configuration of a run when nothing can refuse it any more: what fails before has
    changed nothing of a run that it was to resume.

    Args:
        save: writes the file.
        path: the file.
    """

    def __init__(self, save: Callable[[], None], path: Path) -> None:
        self.save, self.path = save, path

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.save()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and not self.path.is_file():  # there was nothing to train
            self.save()


def _check_runs(cfg: DictConfig, needs: frozenset[Need], runs: Sequence[Path]) -> None:
    if "run" in needs and not runs:
        raise ConfigError("type run=<a run directory>")
    if "runs" in needs and "data" not in needs and not runs:
        raise ConfigError("type run=<a run directory>, or a list or a folder of them")
    if "runs" not in needs and len(runs) > 1:
        raise ConfigError(f"run= takes one run directory here, got {len(runs)}: {cfg.run}")


def fit_config(cfg: DictConfig, original: Path) -> DictConfig:
    """Give the configuration of a run that does anew what another did, as if it were the first."""
    cfg = cfg.copy()
    cfg.run, cfg.job = None, load_config(original).job
    return cfg


def _build_trainer(
    cfg: DictConfig, data: DataModule, callbacks: Sequence[pl.Callback]
) -> pl.Trainer:
    if not data.split.val:
        _without_validation(cfg.callbacks or {})
    loggers = [each for each in instantiate_group(cfg.logger) if isinstance(each, Logger)]
    watching = [*instantiate_group(cfg.callbacks), *callbacks]
    try:
        trainer: pl.Trainer = instantiate(
            cfg.trainer, _convert_="all", callbacks=watching, logger=loggers
        )
    except InstantiationException as error:  # Lightning names the setting it cannot do
        cause = error.__cause__ or error
        raise ConfigError(f"trainer: {' '.join(str(cause).split())}") from error
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # none that the user chose
        trainer.strategy.checkpoint_io = CheckpointFiles()
    return trainer


def _without_validation(callbacks: Any) -> None:
    """Nothing can be better than before: the last weights are kept. Settled in place."""
    if "early_stopping" in callbacks:
        raise ConfigError(
            "callbacks=early_stopping watches validation cases, and this split has none: leave it "
            "out, or choose a fold (data.fold=0)"
        )
    if "checkpoint" in callbacks:
        callbacks.checkpoint.update(monitor=None, save_top_k=0)


def describe_run(data: DataModule, task: Task) -> str:
    """What is about to be trained, in two lines."""
    split, spec = data.split, data.spec
    parameters = sum(p.numel() for p in task.net.parameters())
    shape = "whole images" if spec.patch is None else "x".join(map(str, spec.patch))
    return (
        f"{data.cases.name}: {len(split.train)} training, {len(split.val)} validation and "
        f"{len(split.test)} test cases (fold {split.fold}), {', '.join(spec.labels.foreground)}\n"
        f"{type(task.net).__name__}: {parameters / 1e6:.2f} M parameters, trained on {shape}"
    )
