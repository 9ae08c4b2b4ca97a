"""Every combination of the values that are listed."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from hydra.core.override_parser.types import Override

from medlight.core.errors import ConfigError
from medlight.sweep.job import (
    DONE,
    ENDED,
    FAILED,
    INTERRUPTED,
    PRUNED,
    RUNNING,
    WAITING,
    Job,
    Status,
)
from medlight.sweep.job_names import job_label
from medlight.sweep.progress import SweepProgress, print_line
from medlight.sweep.sweep import Sweep, varying_overrides
from medlight.sweep.task import OnOom, check_on_oom, task


@dataclass(kw_only=True)
class GridSweep:
    """Runs all combinations, each once.

    Args:
        name: folder of the sweep below outputs/sweeps; None: the experiment's name and what varies.
        params: key to values, as on the command line, which wins.
        max_failures: how often a job may fail, over repeated sweeps.
        on_oom: "fail", or "halve" the batch and double the accumulation where memory runs out.
        compare: at the end, compare the best runs on the test cases.
    """

    name: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    max_failures: int = 3
    on_oom: OnOom = "fail"
    compare: bool = True

    def __post_init__(self) -> None:
        check_on_oom(self.on_oom)

    def sweep_params(self, overrides: Sequence[Override]) -> dict[str, list[str]]:
        """Key to overrides of what varies; what is typed beats what the preset says."""
        varying = varying_overrides(self.params, overrides)
        return {o.get_key_element(): _each(o) for o in varying}

    def combinations(self, overrides: Sequence[Override]) -> list[list[str]]:
        """The overrides of each job."""
        return [list(each) for each in itertools.product(*self.sweep_params(overrides).values())]

    def display_overrides(self, job_overrides: list[str]) -> list[str]:
        """What sets a job with these overrides apart, as `key=value`."""
        return job_overrides

    def check(self, job_overrides: list[str], duplicate: list[str] | None) -> None:
        """Look at a job before it is one of the sweep; `duplicate` has the same configuration."""

    def run(self, sweep: Sweep, overrides: Sequence[Override]) -> list[Job]:
        """Do what is to be done; the jobs, as they then are."""
        jobs: dict[Job, list[str]] = {}
        for job_overrides in self.combinations(overrides):
            job = sweep.job(job_overrides)
            self.check(job_overrides, jobs.get(job))
            jobs[job] = job_overrides
        display_overrides = {
            job: self.display_overrides(job_overrides) for job, job_overrides in jobs.items()
        }
        for job, job_overrides in display_overrides.items():
            job.set_overrides(job_overrides)
        sweep.save_jobs(
            {job.key: job_overrides for job, job_overrides in display_overrides.items()}
        )
        before = {job: job.current_status() for job in jobs}
        due = [job for job, status in before.items() if self.is_due(status)]
        print_line(f"{len(jobs)} jobs in {sweep.folder}: {self.plan(before.values())}")
        for status in before.values():
            if status.attempts and status.state not in ENDED:
                print_line(f"  {job_label(status.overrides)}: {self.action(status)}")
        if due:
            one_by_one = [[*jobs[job], f"hydra.sweep.subdir='{job.key}'"] for job in due]
            with SweepProgress(lambda: list(jobs), metric=sweep.cfg.metric):
                sweep.launch(one_by_one, partial(task, on_oom=self.on_oom))
        return list(jobs)

    def is_due(self, status: Status) -> bool:
        given_up = status.state == FAILED and status.failures >= self.max_failures
        return status.state not in ENDED and not given_up

    def plan(self, before: Iterable[Status]) -> str:
        """Count the jobs by what happens to them."""
        found = Counter(self.action(status) for status in before)
        return ", ".join(
            f"{found[action]} {action}" for action in self.actions.values() if found[action]
        )

    def action(self, status: Status) -> str:
        """Say what happens to a job."""
        return self.actions[status.state, self.is_due(status)]

    @property
    def actions(self) -> dict[tuple[str, bool], str]:
        """By state, and whether the job is due."""
        return {
            (DONE, False): "done",
            (PRUNED, False): "pruned",
            (RUNNING, True): "still running: waiting",
            (INTERRUPTED, True): "interrupted: resuming",
            (FAILED, True): "failed: retrying",
            (FAILED, False): f"failed {self.max_failures} times: giving up",
            (WAITING, True): "new",
        }


def _each(override: Override) -> list[str]:
    """`key=a,b` as `key=a` and `key=b`."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep():
        raise ConfigError(f"{override.input_line} has infinitely many values: use sweep=optuna")
    return [f"{key}={value}" for value in override.sweep_string_iterator()]
