"""`launcher=ray`: the jobs of a sweep as tasks of Ray.

Hydra's own launcher for Ray asks for Ray's cluster manager and with it for an AWS client; a sweep
needs neither.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from medlight.sweep.credentials import PASSWORD_VARIABLE
from medlight.sweep.process import TERMINATE_TIMEOUT_S


class RayLauncher(Launcher):
    """Queues all jobs; Ray starts each where and when what it takes is free.

    Args:
        address: of a cluster, or "auto" for the one this machine belongs to; None: a Ray of this
            machine, which ends with the sweep.
        num_cpus, num_gpus: what each job takes.
        options: further arguments of ray.remote, such as `resources`.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        num_cpus: float = 1,
        num_gpus: float = 0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.address = address
        self.takes = {"num_cpus": num_cpus, "num_gpus": num_gpus, **(options or {})}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the house
        import ray

        ray.init(self.address, log_to_driver=False, logging_level="ERROR")
        try:
            start = ray.remote(**self.takes)(_run)
            here = (
                os.getcwd(),
                list(sys.path),
                os.environ.get(PASSWORD_VARIABLE),
                Singleton.get_state(),
            )
            jobs = [
                start.remote(
                    here, self.context, self._config(overrides, initial_job_idx + n), self.task
                )
                for n, overrides in enumerate(job_overrides)
            ]
            try:
                return [ray.get(job) for job in jobs]
            except BaseException:
                for job in jobs:
                    ray.cancel(job)  # as Ctrl-C would, so that they leave a checkpoint
                ray.wait(jobs, num_returns=len(jobs), timeout=TERMINATE_TIMEOUT_S)
                raise
        finally:
            ray.shutdown()

    def _config(self, overrides: Sequence[str], number: int) -> DictConfig:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = f"ray_{number}", number
        return config


def _run(
    here: tuple[str, list[str], str | None, dict[Any, Any]],
    context: HydraContext,
    config: DictConfig,
    task: TaskFunction,
) -> JobReturn:
    """In a process of Ray's: be where the sweep was typed, and do as Hydra does."""
    folder, path, password, state = here
    os.chdir(folder)
    sys.path[:] = path
    if password is not None:
        os.environ[PASSWORD_VARIABLE] = password
    setup_globals()
    Singleton.set_state(state)
    HydraConfig.instance().set_config(config)
    return run_job(
        hydra_context=context,
        task_function=task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
