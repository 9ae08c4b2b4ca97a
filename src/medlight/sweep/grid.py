"""Every combination of the values that are listed."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from hydra.core.override_parser.types import Override

from medlight.cli.rerun import parse_overrides
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
from medlight.sweep.names import label
from medlight.sweep.sweep import Sweep
from medlight.sweep.task import OnOom, check_on_oom, task
from medlight.sweep.watch import Watch, say


@dataclass(kw_only=True)
class Grid:
    """Runs all combinations, each once.

    Args:
        name: folder of the sweep below outputs/sweeps; None: the experiment's name and what varies.
        params: key to values, as on the command line, which wins.
        failures: how often a job may fail, over repeated sweeps.
        on_oom: "fail", or "halve" the batch and double the accumulation where memory runs out.
        compare: at the end, compare the best runs on the test cases.
    """

    name: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    failures: int = 3
    on_oom: OnOom = "fail"
    compare: bool = True

    def __post_init__(self) -> None:
        check_on_oom(self.on_oom)

    def varied(self, typed: Sequence[Override]) -> dict[str, list[str]]:
        """Key to overrides of what varies; what is typed beats what the preset says."""
        said = {o.get_key_element() for o in typed}
        preset = parse_overrides([f"{key}={value}" for key, value in self.params.items()])
        kept = [o for o in preset if o.get_key_element() not in said]
        varying = [*kept, *(o for o in typed if o.is_sweep_override())]
        return {o.get_key_element(): _each(o) for o in varying}

    def combinations(self, typed: Sequence[Override]) -> list[list[str]]:
        """The overrides of each job."""
        return [list(each) for each in itertools.product(*self.varied(typed).values())]

    def described(self, words: list[str]) -> list[str]:
        """What sets a job with these overrides apart, as `key=value`."""
        return words

    def check(self, words: list[str], twin: list[str] | None) -> None:
        """Look at a job before it is one of the sweep; `twin` has the same configuration."""

    def run(self, sweep: Sweep, typed: Sequence[Override]) -> list[Job]:
        """Do what is to be done; the jobs, as they then are."""
        jobs: dict[Job, list[str]] = {}
        for words in self.combinations(typed):
            job = sweep.job(words)
            self.check(words, jobs.get(job))
            jobs[job] = words
        described = {job: self.described(words) for job, words in jobs.items()}
        for job, words in described.items():
            job.describe(words)
        sweep.record({job.key: words for job, words in described.items()})
        before = {job: job.settled() for job in jobs}
        due = [job for job, status in before.items() if self.is_due(status)]
        say(f"{len(jobs)} jobs in {sweep.folder}: {self.plan(before.values())}")
        for status in before.values():
            if status.starts and status.state not in ENDED:
                say(f"  {label(status.overrides)}: {self.fate(status)}")
        if due:
            one_by_one = [[*jobs[job], f"hydra.sweep.subdir={job.key}"] for job in due]
            with Watch(lambda: list(jobs), metric=sweep.cfg.metric):
                sweep.launch(one_by_one, partial(task, on_oom=self.on_oom))
        return list(jobs)

    def is_due(self, status: Status) -> bool:
        given_up = status.state == FAILED and status.failures >= self.failures
        return status.state not in ENDED and not given_up

    def plan(self, before: Iterable[Status]) -> str:
        """How many jobs meet which fate."""
        found = Counter(self.fate(status) for status in before)
        return ", ".join(f"{found[fate]} {fate}" for fate in self.fates.values() if found[fate])

    def fate(self, status: Status) -> str:
        """What becomes of a job, in words."""
        return self.fates[status.state, self.is_due(status)]

    @property
    def fates(self) -> dict[tuple[str, bool], str]:
        """By state, and whether the job is due."""
        return {
            (DONE, False): "done",
            (PRUNED, False): "pruned",
            (RUNNING, True): "still running: waited for",
            (INTERRUPTED, True): "interrupted: resumed",
            (FAILED, True): "failed: tried again",
            (FAILED, False): f"failed {self.failures} times: left alone",
            (WAITING, True): "new",
        }


def _each(override: Override) -> list[str]:
    """`key=a,b` as `key=a` and `key=b`."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep():
        raise ConfigError(f"{override.input_line} has no end of values: sweep=optuna searches it")
    return [f"{key}={value}" for value in override.sweep_string_iterator()]
