"""What a verb of the command line is given: the function that does it declares it."""

import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

from medlight.core.errors import ConfigError

Need = Literal["data", "task", "trainer", "run_dir", "run", "runs", "load"]
"""What the command line can build for a verb, as a keyword argument of the same name:

- data: the data module of the configuration, or of the run.
- task, trainer: built for these data; they come together, and need them.
- run_dir: where results go.
- run: the one run directory that `run=` must name. With data, it is done anew in `run_dir`.
- runs: all run directories that `run=` names; without data, at least one.
- load: `medlight.tasks.trained_model.LoadModel`, which reads the net of a run.

All other arguments are settings, with a default or `???` in the verb's yaml file in conf/job/.
"""

Job = TypeVar("Job", bound=Callable[..., Any])


def verb(*needs: Need) -> Callable[[Job], Job]:
    """Declare what the command line builds for the function of a verb.

    Raises:
        TypeError: the function takes other arguments than it declares.
    """

    def declare(job: Job) -> Job:
        taken = {name for name in inspect.signature(job).parameters if name in get_args(Need)}
        if taken != set(needs):
            raise TypeError(f"{job.__qualname__} declares {sorted(needs)}, takes {sorted(taken)}")
        job.__dict__["needs"] = frozenset(needs)
        return job

    return declare


def needs_of(job: Callable[..., Any]) -> frozenset[Need]:
    """Give what a verb declared.

    Raises:
        ConfigError: the function is no verb.
    """
    needs: frozenset[Need] | None = getattr(job, "needs", None)
    if needs is None:
        name = f"{job.__module__}.{getattr(job, '__qualname__', job)}"
        raise ConfigError(f"{name} is no verb: decorate it with @medlight.jobs.verb.verb(...)")
    return needs
