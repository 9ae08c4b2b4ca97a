"""A run at Weights & Biases: curves and settings, and nothing that names a user or a machine."""

import logging
import os
import secrets
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from medlight.compat.wandb import begin_as, finish_run, init_arguments
from medlight.core.errors import ConfigError
from medlight.runs.private import hide_settings

log = logging.getLogger(__name__)

MAX_NAME, MAX_TAG = 128, 64
"""Characters that W&B takes."""

INIT_TIMEOUT_S = 30
"""For the server, at the start. Afterwards a lost server never stops a run."""
FINISH_TIMEOUT_S = 60
"""For what is left to upload at the end; the rest stays on disk for `wandb sync`."""


class WandbRunLogger(WandbLogger):
    """A W&B logger that writes below `run_dir/wandb`, and never asks or waits for a key.

    Host and user name, paths, source code, git remote and console output are not recorded.
    A run that resumes in its directory goes on under its id.

    Args:
        run_dir: the run directory.
        project, name, group, tags, job_type: how W&B files the run; `name` defaults to that of
            the run directory.
        offline: "auto" does what $WANDB_MODE says, else is offline where no API key is configured.
            Whatever it is, a run that W&B does not take is recorded offline.
        share: whether settings may name cases and folders, and `WandbPanels` may send pixels and
            case ids of data that is not public.
    """

    def __init__(
        self,
        *,
        run_dir: Path,
        project: str = "medlight",
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        job_type: str | None = None,
        offline: bool | Literal["auto"] = "auto",
        share: bool = False,
    ) -> None:
        import wandb

        self.share = share
        self._id_file = Path(run_dir) / "wandb" / "id"
        first = getattr(rank_zero_only, "rank", 0) == 0  # the others never begin a run
        if first:
            self._id_file.parent.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(
            mode=usable_mode(offline),
            console="off",
            disable_code=True,
            disable_git=True,
            save_code=False,
            host="",
            program="medlight",
            program_relpath="medlight",
            quiet=True,
            init_timeout=INIT_TIMEOUT_S,
            finish_timeout=FINISH_TIMEOUT_S,
            x_disable_meta=True,
            x_save_requirements=False,
        )
        super().__init__(
            project=project,
            name=_cut(name or Path(run_dir).name),
            group=group and _cut(group),
            tags=_checked(tags),
            job_type=job_type,
            save_dir=run_dir,
            id=read_or_create_id(self._id_file) if first else None,
            settings=settings,
        )
        init_arguments(self).pop("anonymous", None)  # W&B warns of Lightning's None

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Send settings, without cases and places unless `share` says so."""
        settings = dict(params if isinstance(params, Mapping) else vars(params))
        super().log_hyperparams(settings if self.share else hide_settings(settings))

    @property
    def experiment(self) -> Any:
        """The W&B run, begun on first use; on the first process only."""
        import wandb

        try:
            return super().experiment
        except wandb.errors.Error as error:
            log.warning(_OFFLINE, _one_line(error))
            init_arguments(self)["settings"].mode = "offline"
            self._id_file.unlink()  # W&B holds on to the id of the failed attempt
            begin_as(self, read_or_create_id(self._id_file))
            return super().experiment


def _cut(name: str) -> str:
    """What W&B takes of a name."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 3]}..."


def _checked(tags: Sequence[str]) -> list[str]:
    for tag in map(str, tags):
        if not 1 <= len(tag) <= MAX_TAG:
            raise ConfigError(f"tags: W&B takes 1 to {MAX_TAG} characters, got {len(tag)}: {tag!r}")
    return list(map(str, tags))


_OFFLINE = "W&B cannot be reached, so the run is recorded offline (`wandb sync` sends it): %s"


def usable_mode(offline: bool | Literal["auto"]) -> Any:
    """Say how W&B is to record a run; offline, with a warning, where key, URL or mode are wrong.

    Args:
        offline: as in `WandbRunLogger`.
    """
    import wandb

    auto = os.environ.get("WANDB_MODE")
    mode: Any = auto if offline == "auto" else "offline" if offline else "online"
    asked: dict[str, Any] = {"mode": mode, "base_url": os.environ.get("WANDB_BASE_URL")}
    try:
        wandb.Settings(**{key: value for key, value in asked.items() if value})
        return mode or ("online" if key_is_configured() else "offline")
    except (wandb.errors.Error, ValueError) as error:
        log.warning(_OFFLINE, _one_line(error))
    for name in ("WANDB_MODE", "WANDB_BASE_URL"):
        os.environ.pop(name, None)  # W&B reads them again when the run begins
    return "offline"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def key_is_configured() -> bool:
    """Credentials in the environment, in .netrc or in W&B's settings; nobody is asked."""
    import wandb

    return wandb.login(prompt=False, verify=False)


def read_or_create_id(path: Path) -> str:
    """The id in this file, which is made where there is none."""
    if not path.exists():
        path.write_text(secrets.token_hex(4))
    return path.read_text()


def finish_runs(loggers: Iterable[Logger], *, failed: bool = False) -> None:
    """End the W&B run of this process, if there is one: the next run must not write into it.

    A logger that is used again opens its run again.
    """
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            finish_run(logger, exit_code=int(failed))
