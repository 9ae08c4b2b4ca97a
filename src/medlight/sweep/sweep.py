"""What every way to sweep shares: composing jobs, finding them again, and running them."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from medlight.cli.overrides import quote_names
from medlight.cli.rerun import parse_overrides
from medlight.compat.hydra import config_callbacks, instantiate_launcher
from medlight.runs.config_keys import CASE_INDEPENDENT_DATA_KEYS
from medlight.runs.files import write_text
from medlight.sweep.job import Job
from medlight.sweep.job_key import job_key
from medlight.sweep.process import process_context

ROOT = Path("outputs/sweeps")
JOBS_FILE = "sweep.json"
UNREADABLE = "unreadable"


@dataclass
class Fingerprints:
    """Of data sets, each read once."""

    cache: dict[str, str] = field(default_factory=dict)

    def of(self, cfg: DictConfig) -> str:
        """The fingerprint of the cases that `cfg.data` finds."""
        plain: Any = OmegaConf.to_container(cfg.data, resolve=True)
        plain = {k: v for k, v in plain.items() if k not in CASE_INDEPENDENT_DATA_KEYS}
        text = json.dumps(plain, sort_keys=True)
        if text not in self.cache:
            with ProcessPoolExecutor(1, mp_context=process_context()) as pool:  # it imports torch
                self.cache[text] = pool.submit(_fingerprint, plain).result()
        return self.cache[text]


def _fingerprint(data: dict[str, Any]) -> str:
    try:
        return str(instantiate(data, _convert_="all").cases.fingerprint())
    except Exception:  # the job will meet it too, and fail alone
        return UNREADABLE


def varying_overrides(params: Mapping[str, str], overrides: Sequence[Override]) -> list[Override]:
    """Give what varies: of a preset what is not typed, and what is typed."""
    typed = {o.get_key_element() for o in overrides}
    preset = parse_overrides([quote_names(f"{key}={value}") for key, value in params.items()])
    kept = [o for o in preset if o.get_key_element() not in typed]
    return [*kept, *(o for o in overrides if o.is_sweep_override())]


@dataclass
class Sweep:
    """The jobs of one command.

    Attributes:
        cfg: the configuration without what varies, `hydra` included.
        loader: Hydra's, which composes the rest.
        fixed_overrides: overrides that all jobs share.
        folder: where the jobs' directories lie.
        config_name: of the file that all others are composed into.
    """

    cfg: DictConfig
    loader: ConfigLoader
    fixed_overrides: list[str]
    folder: Path
    config_name: str = "config"
    fingerprints: Fingerprints = field(default_factory=Fingerprints)

    def __post_init__(self) -> None:
        self.folder = Path(os.path.relpath(self.folder))
        with open_dict(self.cfg):
            self.cfg.hydra.sweep.dir = str(self.folder)
            if self.cfg.launcher is not None:
                self.cfg.hydra.launcher = self.cfg.launcher
            self.cfg.sweep = None  # launchers write the rest to files; it may hold a password
            self.cfg.hydra.overrides.task = []

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration of one job."""
        words = [*self.fixed_overrides, *overrides]
        cfg = self.loader.load_configuration(self.config_name, words, run_mode=RunMode.RUN)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        return cfg

    def job(self, overrides: Sequence[str], cfg: DictConfig | None = None) -> Job:
        """Where the job with these overrides lies, or will."""
        cfg = self.compose(overrides) if cfg is None else cfg
        return Job(self.folder / job_key(cfg, self.fingerprints.of(cfg)))

    def launch(
        self, job_overrides: Sequence[Sequence[str]], task: Callable[[DictConfig], Any]
    ) -> None:
        """Have the launcher call `task` with the configuration of each list of overrides."""
        context = HydraContext(config_loader=self.loader, callbacks=config_callbacks(self.cfg))
        launcher = self._launcher()
        launcher.setup(hydra_context=context, task_function=task, config=self.cfg)
        sweep_dir_override = f"hydra.sweep.dir='{self.folder}'"
        for done in launcher.launch(
            [[*self.fixed_overrides, sweep_dir_override, *each] for each in job_overrides], 0
        ):
            _ = done.return_value  # raises what is no fault of one job

    def _launcher(self) -> Launcher:
        if str(self.cfg.hydra.launcher._target_).startswith("medlight."):
            return cast(Launcher, instantiate(self.cfg.hydra.launcher, _convert_="all"))
        return instantiate_launcher(self.cfg.hydra.launcher)

    def save_jobs(self, jobs: dict[str, Sequence[str]]) -> None:
        """Note which jobs the command that was typed last has."""
        listed = [{"key": key, "overrides": list(words)} for key, words in jobs.items()]
        content = {"metric": self.cfg.metric, "mode": self.cfg.mode, "jobs": listed}
        write_text(self.folder / JOBS_FILE, json.dumps(content, indent=1) + "\n")
