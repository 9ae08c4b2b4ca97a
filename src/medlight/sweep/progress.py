"""What a sweep is doing: a live table where somebody looks, a line for each change elsewhere."""

import shutil
import threading
import time
from collections.abc import Callable, Sequence

from rich import get_console
from rich.live import Live
from rich.table import Table

from medlight.report.console_table import console_table
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

REFRESH_S = 0.5
COLOURS = {DONE: "green", FAILED: "red", INTERRUPTED: "yellow", PRUNED: "blue", RUNNING: "bold"}
STATE_ORDER = (RUNNING, FAILED, INTERRUPTED, WAITING, DONE, PRUNED)
"""What is shown where the screen cannot hold all."""
FRAME_LINES = 7
"""Lines of the screen that are not jobs."""


class SweepProgress:
    """Looks at the jobs' directories, whoever works in them, from a thread of its own.

    Args:
        jobs: says which jobs there are; asked again and again.
        metric: name of the score.
        total: how many there will be; None: as many as there are.
    """

    def __init__(
        self, jobs: Callable[[], Sequence[Job]], *, metric: str, total: int | None = None
    ) -> None:
        self.jobs, self.metric, self.total = jobs, metric, total
        self._console = get_console()
        self._live: Live | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._refresh_loop, daemon=True)
        self._last_statuses = self._read()
        self._started_at = time.monotonic()
        self._before = _ended(self._last_statuses)

    def __enter__(self) -> "SweepProgress":
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._refresh()
        if self._live:
            self._live.stop()

    def _refresh_loop(self) -> None:
        while not self._stopped.wait(REFRESH_S):
            self._refresh()

    def _read(self) -> dict[Job, Status]:
        return {job: job.current_status() for job in self.jobs()}

    def _refresh(self) -> None:
        now = self._read()
        if self._live:
            self._live.update(self.table(now), refresh=True)
        else:
            for job, status in now.items():
                before = self._last_statuses.get(job, Status())
                if (before.state, before.attempts) != (status.state, status.attempts):
                    print_line(self.line(now, status))
        self._last_statuses = now

    def line(self, now: dict[Job, Status], status: Status) -> str:
        """`[3/24] lr=1e-3 seed=0: done, val/dice 0.9134, 1:02`."""
        parts = [status.state]
        if status.state == RUNNING and status.epoch:
            parts = [f"resumed after epoch {status.epoch}"]
        if status.state in (FAILED, INTERRUPTED) and status.error:
            parts.append(status.error)
        if status.state in ENDED:
            if status.score is not None:
                parts.append(f"{self.metric} {status.score:.4f}")
            parts.append(format_duration(status.seconds))
        head = f"[{_ended(now)}/{self.total or len(now)}]"
        return f"{head} {job_label(status.overrides)}: {', '.join(parts)}"

    def table(self, now: dict[Job, Status]) -> Table:
        max_rows = max(3, shutil.get_terminal_size().lines - FRAME_LINES)
        rows = sorted(now.values(), key=lambda status: STATE_ORDER.index(status.state))
        cells = [self.cells(status) for status in rows[:max_rows]]
        more = [[f"and {len(rows) - max_rows} more", "", "", "", ""]] if rows[max_rows:] else []
        return console_table(
            self.title(now),
            ["job", "state", "epoch", self.metric, "left"],
            [*cells, *more],
            width=self._console.width,
            one_line=True,  # the screen has no more
            styles=[COLOURS.get(status.state, "dim") for status in rows[:max_rows]] + ["dim"],
        )

    def cells(self, status: Status) -> list[str]:
        return [
            job_label(status.overrides),
            status.state,
            f"{status.epoch}/{status.epochs}" if status.epochs else "",
            "" if status.score is None else f"{status.score:.4f}",
            "" if status.left is None else format_duration(status.left),
        ]

    def title(self, now: dict[Job, Status]) -> str:
        states = [status.state for status in now.values()]
        total = self.total or len(now)
        said = f"{_ended(now)} of {total} done"
        said += "".join(f", {states.count(s)} {s}" for s in (FAILED, INTERRUPTED) if s in states)
        new = _ended(now) - self._before
        left = total - _ended(now) - states.count(FAILED)
        if new and left > 0:
            seconds = (time.monotonic() - self._started_at) / new * left
            said += f", about {format_duration(seconds)} left"
        return said


def print_line(text: str) -> None:
    """A line that is not wrapped, whatever stands in it."""
    get_console().print(text, markup=False, highlight=False, soft_wrap=True)


def _ended(now: dict[Job, Status]) -> int:
    return sum(status.state in ENDED for status in now.values())


def format_duration(seconds: float) -> str:
    """Seconds for human eyes.

    >>> format_duration(83), format_duration(4000)
    ('1:23', '1:06:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
