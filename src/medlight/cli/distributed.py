"""Being one of several processes that train together."""

import logging
import os
import threading
import time
from datetime import datetime
from functools import lru_cache

from medlight.core.errors import ConfigError


def rank() -> int:
    """The number of this process among all, 0 being the one that writes and speaks."""
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return next((number for name in names if (number := _number(name)) is not None), 0)


def _number(name: str) -> int | None:
    """A whole number in the environment. ConfigError for anything else."""
    text = os.environ.get(name)
    if not text:
        return None
    if not text.isdecimal():
        raise ConfigError(f"{name}={text!r} is no number of a process; unset {name} in the shell")
    return int(text)


def setup_rank() -> None:
    """Call before anything is built: all but the first process keep quiet, and none outlives it."""
    if rank() == 0:
        return
    for name in (None, "medlight.cli.main"):
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
            logger.removeHandler(handler)
            handler.close()
    logging.getLogger().setLevel(logging.WARNING)
    if not {"TORCHELASTIC_RUN_ID", "SLURM_PROCID"} & set(os.environ):  # they see to it themselves
        threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()


def _exit_with_parent(parent: int) -> None:
    """A process whose first has died would wait for it in the next exchange of gradients."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


@lru_cache(maxsize=1)
def run_stamp(token: str) -> str:
    """The last part of a run directory's name, the same for all processes of a run.

    Date, time and `token`; where Slurm or torchrun start several processes, what they call the
    job, which is also the same when it is queued again.
    """
    env = os.environ
    if (_number("SLURM_NTASKS") or 1) > 1 and "SLURM_PROCID" in env:
        return "slurm-" + "-".join(
            env[key] for key in ("SLURM_JOB_ID", "SLURM_STEP_ID") if key in env
        )
    if (_number("WORLD_SIZE") or 1) > 1 and "TORCHELASTIC_RUN_ID" in env:
        if env["TORCHELASTIC_RUN_ID"] != "none":
            return f"torchrun-{env['TORCHELASTIC_RUN_ID']}"
        if (_number("GROUP_WORLD_SIZE") or 1) > 1:
            raise ConfigError(
                "several machines need one name for the run: give torchrun --rdzv-id=<name>, or "
                "hydra.run.dir=<folder>"
            )
        return f"{datetime.now():%Y-%m-%d}_torchrun-{os.getppid()}"
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{token}"
