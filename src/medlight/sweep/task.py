"""What a launcher is given for each job, wherever it runs it: start the job's own process."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from medlight.cli.config import save_config
from medlight.cli.trust import targets_of_config
from medlight.core.errors import ConfigError
from medlight.runs.directory import CONFIG_FILE, JOB_FILE, RunDirectory
from medlight.runs.private import hide_words
from medlight.sweep.job import ENDED, FAILED, INTERRUPTED, WAITING, Job, Status
from medlight.sweep.job_names import job_label
from medlight.sweep.process import StopFn, run_in_subprocess

OnOom = Literal["fail", "halve"]
MAX_RESUMES = 2
"""How often a job whose process dies is taken up again at once; a repeated sweep starts over."""


def task(cfg: DictConfig, *, on_oom: OnOom = "fail") -> float | None:
    """Called by a Hydra launcher with a job's configuration; its score, None where it has none.

    How it ended stands in its directory: only what concerns all jobs is raised.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    job = Job(Path(hydra.runtime.output_dir))
    if not (
        job.folder / JOB_FILE
    ).exists():  # another sweeper of Hydra's does not describe its jobs
        job.update(overrides=list(hydra.overrides.task))
    return run_with_retries(job, cfg, on_oom=on_oom).score


def run_with_retries(
    job: Job, cfg: DictConfig, *, on_oom: OnOom = "fail", stop: Callable[[], StopFn] | None = None
) -> Status:
    """Run a job to its end, through what can be fixed on the way."""
    for resumes in range(MAX_RESUMES + 1):
        status = _run_once(job, cfg, stop)
        while status.state == FAILED and status.out_of_memory and on_oom == "halve":
            if not can_halve(cfg, status.batch_halvings):
                break
            shutil.rmtree(RunDirectory(job.folder).checkpoints, ignore_errors=True)
            job.update(batch_halvings=status.batch_halvings + 1, failures=status.failures - 1)
            status = _run_once(job, cfg, stop)
        if status.state != INTERRUPTED or resumes == MAX_RESUMES:
            break
    return status


def _run_once(job: Job, cfg: DictConfig, stop: Callable[[], StopFn] | None) -> Status:
    with job.locked():
        status = job.read()
        if status.state in ENDED:
            return status
        save_job_config(job, cfg, status)
        job.update(state=WAITING)
    return run_in_subprocess(job, stop, composed_targets(cfg))


def composed_targets(cfg: DictConfig) -> list[str]:
    """The constructors of a configuration that the user composed here, and so trusts."""
    plain = OmegaConf.to_container(cfg)
    return [name for _, name in targets_of_config(plain) if isinstance(name, str)]


def save_job_config(job: Job, cfg: DictConfig, status: Status) -> None:
    """Save what the job's process starts from: nothing in it refers to the sweep."""
    cfg = cfg.copy()
    cfg.sweep = cfg.launcher = None
    cfg.paths.run_dir = str(job.folder)
    loggers: Any = OmegaConf.to_container(cfg.logger or OmegaConf.create())
    wandb = loggers.get("wandb")
    if wandb and "medlight.overrides" in str(wandb.get("name")):  # all that was typed
        cfg.logger.wandb.name = job_label(hide_words(status.overrides))
    for _ in range(status.batch_halvings):
        cfg.data.batch_size //= 2
        cfg.trainer.accumulate_grad_batches *= 2
    save_config(cfg, job.folder / CONFIG_FILE)


def can_halve(cfg: DictConfig, batch_halvings: int) -> bool:
    """Whether the batch can be cut in two once more, keeping the samples of a step."""
    return int(cfg.data.batch_size) % 2 ** (batch_halvings + 1) == 0


def check_on_oom(value: str) -> None:
    """Raise ConfigError for a word that is none of `OnOom`."""
    if value not in ("fail", "halve"):
        raise ConfigError(f"sweep.on_oom is fail or halve, got {value}")
