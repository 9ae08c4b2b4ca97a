"""From a composed configuration to built objects, and on to the job."""

import inspect
import logging
import os
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException

from medlight.cli import distributed
from medlight.cli.config import load_config, register, resolve_saved_config, save_config
from medlight.cli.errors import explain_error
from medlight.cli.load_run import load_trained
from medlight.cli.main import parse_verb
from medlight.cli.options import conf_dir, conf_dirs, groups
from medlight.cli.rerun import find_trained_runs
from medlight.cli.validate import check_targets
from medlight.core.errors import ConfigError, MedlightError
from medlight.core.malloc import tune_malloc
from medlight.data.datamodule import DataModule
from medlight.jobs.check import check_before_training
from medlight.runs.directory import CONFIG_FILE, RunDirectory
from medlight.tasks.base import Task

log = logging.getLogger(__name__)

IGNORED_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning 2.6 on torch 2.13
    r"The number of training batches",  # an epoch shorter than the logging interval is fine
    r"Checkpoint directory .* exists and is not empty",  # as it should be on a resume
    r"The '\w+_dataloader' does not have many workers",  # small data sits in memory
    r"It is recommended to use `self.log",  # what is logged is of all ranks already
)


def run(cfg: DictConfig, run_dir: Path, *, callbacks: Sequence[pl.Callback] = ()) -> float | None:
    """Build everything the configuration names, do its job, and say where the results lie.

    Args:
        callbacks: besides those of the configuration.
    """
    distributed.setup_rank()
    rank_zero_only.rank = distributed.rank()  # type: ignore[attr-defined]  # Lightning looks at import
    tune_malloc()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    if missing := sorted(key.rpartition(".")[2] for key in OmegaConf.missing_keys(cfg.job)):
        raise ConfigError(f"this verb needs {' and '.join(f'{key}=...' for key in missing)}")
    job = instantiate(cfg.job, _partial_=True)
    takes = inspect.signature(job).parameters
    runs = find_trained_runs(cfg.run) if cfg.run else []
    if distributed.rank() == 0 and (not runs or "original" in takes):
        save_config(fit_config(cfg, runs[0]) if runs else cfg, run_dir / CONFIG_FILE)
    resolve_hardware(cfg.trainer)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    if "load" in takes:
        job = partial(job, load=partial(load_trained, trainer=cfg.trainer))
    if "load" in takes and "data" not in takes:  # a verb on finished runs alone
        if not runs:
            raise ConfigError("type run=<a run directory>, or a list or a folder of them")
        job(runs=runs)
        return None
    if "data" not in takes:  # a verb on files
        job(run_dir=run_dir)
        return None
    for each in runs:  # said before the data are looked for, which may not be here
        RunDirectory(each).split()
    data: DataModule = instantiate(cfg.data, _convert_="all")
    if "runs" in takes:
        job = partial(job, runs=runs)
    elif len(runs) > 1:
        raise ConfigError(f"run= takes one run directory here, got {len(runs)}: {cfg.run}")
    elif "original" in takes:
        if not runs:
            raise ConfigError("type run=<a run directory>")
        job = partial(job, original=runs[0])
    if "task" not in takes:  # a verb on data alone
        job(data=data, run_dir=run_dir)
        return None
    rank_zero_only(check_before_training)(data)
    task: Task = instantiate(cfg.task, _convert_="all")(spec=data.spec)
    if len(runs) == 1:
        task.use_choices(runs[0])
    if not data.split.val:
        _without_validation(cfg.callbacks or {})
    loggers = [each for each in instantiate_group(cfg.logger) if isinstance(each, Logger)]
    watching = [*instantiate_group(cfg.callbacks), *callbacks]
    trainer = instantiate(cfg.trainer, _convert_="all", callbacks=watching, logger=loggers)
    if trainer.is_global_zero:
        log.info(describe_run(data, task))
        for logger in loggers:
            logger.log_hyperparams(resolve_saved_config((runs or [run_dir])[0]))
    try:
        score: float | None = job(data=data, task=task, trainer=trainer, run_dir=run_dir)
    except SIGTERMException as stopped:
        raise SystemExit(128 + signal.SIGTERM) from stopped  # as the shell says it
    if trainer.is_global_zero:
        log.info("Results saved to %s", os.path.relpath(run_dir))
    return score


def fit_config(cfg: DictConfig, original: Path) -> DictConfig:
    """The configuration of a run that does again what another did, as if it were the first."""
    cfg = cfg.copy()
    cfg.run, cfg.job = None, load_config(original).job
    return cfg


def _without_validation(callbacks: Any) -> None:
    """Nothing can be better than before: the last weights are kept. Settled in place."""
    if "early_stopping" in callbacks:
        raise ConfigError(
            "callbacks=early_stopping watches validation cases, and this split has none: leave it "
            "out, or choose a fold (data.fold=0)"
        )
    if "checkpoint" in callbacks:
        callbacks.checkpoint.update(monitor=None, save_top_k=0)


def instantiate_group(group: DictConfig | None) -> list[Any]:
    """The objects of a group that maps names to them; empty where `~group` left it out."""
    return list((instantiate(group, _convert_="all") or {}).values())


def build_data(overrides: Sequence[str]) -> DataModule:
    """The data that `data=... data.root=...` name, without a run. ConfigError as the door's."""
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            cfg = compose("config", parse_verb(overrides, groups(conf_dirs())))
        except Exception as error:
            line = explain_error(error, overrides, conf_dirs(), "config")
            raise ConfigError(line) if line else error from error
    check_targets(cfg.data)
    return cast(DataModule, instantiate(cfg.data, _convert_="all"))


def load_run_data(run_dir: Path) -> DataModule | None:
    """The data a finished run was tested on; None where they, or its settings, are not here."""
    register()
    try:
        cfg = load_config(run_dir)
        check_targets(cfg.data)
        data = cast(DataModule, instantiate(cfg.data, _convert_="all"))
        return data if len(data.cases) else None
    except (MedlightError, OmegaConfBaseException, InstantiationException) as error:
        log.warning("%s: no images in the page (%s)", run_dir, str(error).splitlines()[0])
        return None


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


def resolve_hardware(trainer: DictConfig) -> None:
    """Settle what only the machine can say, in place.

    Precision "auto" is bf16-mixed on GPUs and CPUs that compute in it, 16-mixed on older GPUs and
    32 on other CPUs, where bf16 would take 3-4 times as long. Batch-norm statistics are shared
    between processes on GPUs only: torch has no such layer for CPUs. "deterministic" is strict on
    CPUs; on GPUs, where some operations have no deterministic form, they are named instead.
    """
    cuda = trainer.accelerator != "cpu" and torch.cuda.is_available()
    if trainer.precision == "auto":
        trainer.precision = (
            "bf16-mixed" if computes_in_bf16(cuda=cuda) else "16-mixed" if cuda else "32-true"
        )
    if cuda and trainer.get("deterministic") is True:
        trainer.deterministic = "warn"
    if not cuda and trainer.get("sync_batchnorm"):
        trainer.sync_batchnorm = False


def computes_in_bf16(*, cuda: bool) -> bool:
    """Whether the device has instructions for bfloat16, so that it need not be emulated."""
    if cuda:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    tell: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    known = tell()  # nothing from an older torch
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
