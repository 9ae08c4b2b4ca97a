"""A job is a run directory with one file more, `job.json`, which says how far it is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from medlight.core.errors import DataError
from medlight.runs.directory import JOB_FILE, RUN_LOCK, read_json
from medlight.runs.files import write_text

WAITING, RUNNING, INTERRUPTED = "waiting", "running", "interrupted"
DONE, PRUNED, FAILED = "done", "pruned", "failed"
ENDED = (DONE, PRUNED)


@dataclass(frozen=True, slots=True)
class Status:
    """How far a job is.

    Attributes:
        state: waiting, running, interrupted, done, pruned or failed.
        overrides: what sets it apart from the others of its sweep, as typed.
        failures: how often it failed.
        attempts: how often it was started.
        epoch, epochs: epochs done, of how many.
        score: best value of the metric so far.
        seconds: spent so far, over all starts; `left`: about how many more.
        error: one line, of the last failure; `out_of_memory`: whether memory was short.
        batch_halvings: how often the batch was halved for want of memory.
    """

    state: str = WAITING
    overrides: list[str] = field(default_factory=list)
    failures: int = 0
    attempts: int = 0
    epoch: int = 0
    epochs: int | None = None
    score: float | None = None
    seconds: float = 0.0
    left: float | None = None
    error: str | None = None
    batch_halvings: int = 0
    out_of_memory: bool = False


_KINDS: dict[str, Any] = {
    "state": str, "overrides": list, "error": str | None, "epochs": int | None,
    "score": int | float | None, "seconds": int | float, "left": int | float | None,
}  # fmt: skip
"""Of what is no whole number."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job's directory."""

    folder: Path

    @property
    def key(self) -> str:
        return self.folder.name

    def read(self) -> Status:
        """As written; "running" may be out of date, which `current_status` corrects."""
        path = self.folder / JOB_FILE
        try:
            found = read_json(path)
        except FileNotFoundError:
            return Status()
        known = {each.name: found[each.name] for each in fields(Status) if each.name in found}
        for key, value in known.items():
            if not isinstance(value, _KINDS.get(key, int)):
                raise DataError(f"{path}: {key} cannot be {value!r}; remove the job's folder")
        return Status(**known)

    def write(self, status: Status) -> Status:
        write_text(self.folder / JOB_FILE, json.dumps(asdict(status), indent=1) + "\n")
        return status

    def update(self, **changes: Any) -> Status:
        return self.write(replace(self.read(), **changes))

    def set_overrides(self, overrides: list[str]) -> None:
        """Make its directory, and note what sets it apart."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / JOB_FILE).exists() or self.read().overrides != overrides:
            self.update(overrides=overrides)

    def current_status(self) -> Status:
        """The status, where a process that died without a word counts as interrupted."""
        status = self.read()
        if status.state == RUNNING and not self.is_running():
            status = self.read()  # it may have ended just before
            if status.state == RUNNING:
                return replace(status, state=INTERRUPTED, left=None)
        return status

    def is_running(self) -> bool:
        """Whether a process works on it: the system lets go of its lock, however it ends."""
        if not (self.folder / RUN_LOCK).exists():
            return False
        try:
            with FileLock(self.folder / RUN_LOCK, timeout=0):
                return False
        except Timeout:
            return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one process that works on it; waits for another that does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / RUN_LOCK):
            yield
