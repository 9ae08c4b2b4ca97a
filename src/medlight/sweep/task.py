"""What a launcher is given for each job, wherever it runs it: start the job's own process."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from medlight.cli.config import SAVED, save_config
from medlight.core.errors import ConfigError
from medlight.sweep.job import ENDED, FAILED, FILE, INTERRUPTED, WAITING, Job, Status
from medlight.sweep.names import label
from medlight.sweep.process import Stop, carry_out

OnOom = Literal["fail", "halve"]
RESUMES = 2
"""How often a job whose process dies is taken up again at once; a repeated sweep starts over."""


def task(cfg: DictConfig, *, on_oom: OnOom = "fail") -> float | None:
    """Called by a Hydra launcher with a job's configuration; its score, None where it has none.

    How it ended stands in its directory: only what concerns all jobs is raised.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    job = Job(Path(hydra.runtime.output_dir))
    if not (job.folder / FILE).exists():  # another sweeper of Hydra's does not describe its jobs
        job.update(overrides=list(hydra.overrides.task))
    return carry_on(job, cfg, on_oom=on_oom).score


def carry_on(
    job: Job, cfg: DictConfig, *, on_oom: OnOom = "fail", stop: Callable[[], Stop] | None = None
) -> Status:
    """Run a job to its end, through what can be mended on the way."""
    for resumes in range(RESUMES + 1):
        status = _started(job, cfg, stop)
        while status.state == FAILED and status.out_of_memory and on_oom == "halve":
            if not can_halve(cfg, status.halved):
                break
            shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
            job.update(halved=status.halved + 1, failures=status.failures - 1)
            status = _started(job, cfg, stop)
        if status.state != INTERRUPTED or resumes == RESUMES:
            break
    return status


def _started(job: Job, cfg: DictConfig, stop: Callable[[], Stop] | None) -> Status:
    with job.held():
        status = job.read()
        if status.state in ENDED:
            return status
        prepare(job, cfg, status)
        job.update(state=WAITING)
    return carry_out(job, stop)


def prepare(job: Job, cfg: DictConfig, status: Status) -> None:
    """Save what the job's process starts from: nothing in it refers to the sweep."""
    cfg = cfg.copy()
    cfg.sweep = cfg.launcher = None
    cfg.paths.run_dir = str(job.folder)
    loggers: Any = OmegaConf.to_container(cfg.logger or OmegaConf.create())
    wandb = loggers.get("wandb")
    if wandb and "medlight.named" in str(wandb.get("name")):  # all that was typed
        cfg.logger.wandb.name = label(status.overrides)
    for _ in range(status.halved):
        cfg.data.batch_size //= 2
        cfg.trainer.accumulate_grad_batches *= 2
    save_config(cfg, job.folder / SAVED)


def can_halve(cfg: DictConfig, halved: int) -> bool:
    """Whether the batch can be cut in two once more, keeping the samples of a step."""
    return int(cfg.data.batch_size) % 2 ** (halved + 1) == 0


def check_on_oom(value: str) -> OnOom:
    if value not in ("fail", "halve"):
        raise ConfigError(f"sweep.on_oom is fail or halve, got {value}")
    return value  # type: ignore[return-value]
