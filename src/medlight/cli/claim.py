"""One run in one directory: whether a command may write to a run directory, and alone."""

import logging
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.utils import get_method
from omegaconf import DictConfig

from medlight.cli.config import load_config, portable_config, run_token
from medlight.cli.distributed import rank
from medlight.cli.rerun import RESUME_AUTO
from medlight.core.errors import ConfigError
from medlight.jobs.verb import needs_of
from medlight.runs.config_keys import RERUN_KEYS, Role, select_settings
from medlight.runs.directory import CONFIG_FILE, RUN_LOCK, RunDirectory

LOCK_TIMEOUT_S = 10.0
"""Longer than the workers of a run that was killed outlive it: they hold its lock, too."""
MAX_SHOWN = 3


@contextmanager
def claim_run_dir(cfg: DictConfig, run_dir: Path) -> Iterator[None]:
    """Lock a run directory, so that no other command writes to it meanwhile.

    The operating system releases the lock even if the process is killed. Of several ranks, only
    the first takes it.

    Args:
        cfg: composed; `resume=auto` is settled in place.
        run_dir: where results go.

    Raises:
        ConfigError: another run is at work there, or has been and the command does not say what
            to do about it.
    """
    if cfg.run and not {"data", "run"} <= needs_of(get_method(cfg.job._target_)):
        yield  # a verb that adds to a finished run
        return
    automatic = cfg.resume == RESUME_AUTO
    if rank() > 0:
        if automatic:
            cfg.resume = str(run_dir)
        yield
        return
    if automatic and run_dir.name.endswith(run_token()):
        raise ConfigError(
            "resume=auto needs a run directory that the next start finds again: give "
            "hydra.run.dir=<folder>"
        )
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run_dir / RUN_LOCK)
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_S)
    except Timeout:
        _close_log()
        raise ConfigError(
            f"{run_dir}: another run is at work there; wait for its end, or give another "
            "hydra.run.dir"
        ) from None
    try:
        _settle(cfg, run_dir, automatic=automatic)
        yield
    finally:
        lock.release()


def _settle(cfg: DictConfig, run_dir: Path, *, automatic: bool) -> None:
    used = RunDirectory(run_dir).is_used
    overwrite, cfg.overwrite = cfg.overwrite, False
    if automatic and overwrite:
        raise ConfigError("resume=auto and overwrite=true exclude each other: give one")
    if automatic:
        cfg.resume = str(run_dir) if used else None
        if used:
            _check_same_run(cfg, run_dir)
    elif used and overwrite:
        RunDirectory(run_dir).clear()
    elif used and not cfg.resume:
        _close_log()
        typed = shlex.quote(str(run_dir))
        raise ConfigError(
            f"{run_dir} holds a run already: resume={typed} goes on with it, resume=auto starts "
            "or goes on, overwrite=true removes it first; or give another hydra.run.dir"
        )


def _check_same_run(cfg: DictConfig, run_dir: Path) -> None:
    """Compare what decides results, but for what a resume may change."""
    saved = portable_config(load_config(run_dir), run_dir) if _has_config(run_dir) else {}
    before, now = (_decisive(config) for config in (saved, portable_config(cfg, run_dir)))
    other = sorted(k for k in {*before, *now} if saved and before.get(k) != now.get(k))
    if other:
        _close_log()
        shown = [f"{k} was {before.get(k)}, is {now.get(k)}" for k in other[:MAX_SHOWN]]
        more = f" and {len(other) - MAX_SHOWN} more" if len(other) > MAX_SHOWN else ""
        raise ConfigError(
            f"resume=auto: {run_dir} holds another run ({'; '.join(shown)}{more}); "
            f"resume={shlex.quote(str(run_dir))} goes on with that one, or give another "
            "hydra.run.dir"
        )


def _has_config(run_dir: Path) -> bool:
    return RunDirectory(run_dir).has(CONFIG_FILE)


def _decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = select_settings(config, (Role.ARITHMETIC, Role.REPEAT))
    return dict(_leaves({k: v for k, v in kept.items() if k not in RERUN_KEYS}))


def _leaves(tree: Mapping[str, Any], stem: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{stem}{key}.")
        else:
            yield f"{stem}{key}", value


def _close_log() -> None:
    """A command that is refused leaves no line in the log of the run that is there."""
    for name in (None, "medlight.cli.main"):
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
            logger.removeHandler(handler)
            handler.close()
