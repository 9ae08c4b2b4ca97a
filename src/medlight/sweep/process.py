"""The process of a job: `python -m medlight.sweep.process <run directory>` is the same.

All it needs stands in the directory's config.yaml, so that further processes of the job (DDP
starts them with these words) know nothing of the sweep. A server process has imported what is
slow, once, and forks a process for each job; jobs share nothing else.
"""

import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from medlight.cli.distributed import rank
from medlight.cli.options import import_from_here
from medlight.cli.trust import trust, trusted_names
from medlight.runs.directory import LOG_FILE, RunDirectory
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
from medlight.sweep.job_names import hyperparameters

StopFn = Callable[[int, float], bool]
"""(epochs done, score) to whether the job is not worth finishing."""
MODULE = "medlight.sweep.process"
PRELOADED_MODULES = ("medlight.cli.lazy_imports", "medlight.cli.launch", "monai")
"""What every job needs, in this order."""
TERMINATE_TIMEOUT_S = 60
"""For a job that was asked to end, to write its checkpoint."""


def process_context() -> Any:
    """Where job processes come from; where there is no fork, each starts from nothing."""
    known = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in known else "spawn")
    if multiprocessing.get_start_method(allow_none=True) not in (None, *known):
        multiprocessing.set_start_method(context.get_start_method(), force=True)  # joblib's own
    context.set_forkserver_preload(list(PRELOADED_MODULES))
    return context


def run_in_subprocess(
    job: Job, stop: Callable[[], StopFn] | None = None, trusted: Sequence[str] = ()
) -> Status:
    """Run the job in a process of its own, wait for its end, and say how it ended.

    Args:
        stop: makes the judge of the job; is called in that process, so must be picklable.
        trusted: what its configuration may name besides our constructors: the user's own.
    """
    process = process_context().Process(
        target=_subprocess_main, args=(job, stop, trusted), name=job.key
    )
    process.start()
    try:
        process.join()
    except BaseException:
        process.terminate()
        process.join(TERMINATE_TIMEOUT_S)
        process.kill()
        raise
    with job.locked():
        status = job.read()
        if status.state not in (WAITING, RUNNING):
            return status
        code = process.exitcode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return job.update(state=INTERRUPTED, left=None, error=f"its process {how}")


def _subprocess_main(job: Job, stop: Callable[[], StopFn] | None, trusted: Sequence[str]) -> None:
    from medlight.compat.lightning import start_ranks_from

    start_ranks_from(MODULE)
    trust(trusted)
    sys.argv = [MODULE, str(job.folder)]
    sys.exit(execute(job, stop))


def execute(job: Job, stop: Callable[[], StopFn] | None = None) -> int:
    """What the process does: the job, unless it is done; of several ranks the first keeps books."""
    if rank() > 0:
        _run(job, lambda epoch: False)
        return 0
    with job.locked():  # waits for a process of an earlier sweep that is still at it
        if job.read().state in ENDED:
            return 0
        _redirect_output(job.folder / LOG_FILE)
        return JobRecorder(job, stop).run()


class JobRecorder:
    """Writes down how far a job is and how it ends."""

    def __init__(self, job: Job, stop: Callable[[], StopFn] | None) -> None:
        self.job = job
        self.stop = stop() if stop else None
        self.previous = job.read()
        self.started = time.monotonic()

    def run(self) -> int:
        self.job.update(state=RUNNING, attempts=self.previous.attempts + 1, error=None, left=None,
                        out_of_memory=False)  # fmt: skip
        from medlight.callbacks.epoch_reporter import TrialPruned

        try:
            score = _run(self.job, self.epoch)
        except TrialPruned:
            self._write(PRUNED)
        except SystemExit:  # after SIGTERM
            self._write(INTERRUPTED, error="it was asked to end")
            return 1
        except Exception as error:
            traceback.print_exc()
            line, full = error_summary(error), is_out_of_memory(error)
            failures = self.previous.failures + 1
            self._write(FAILED, failures=failures, error=line, out_of_memory=full)
            return 1
        except BaseException:
            self._write(INTERRUPTED, error="it was interrupted")
            raise
        else:
            self._write(DONE, **({} if score is None else {"score": score}))
        return 0

    def epoch(self, epoch: Any) -> bool:
        """After an epoch (a `medlight.callbacks.epoch_reporter.EpochProgress`): whether to stop."""
        latest = {} if epoch.score is None else {"score": epoch.score}
        self._write(
            RUNNING, epoch=epoch.epochs_done, epochs=epoch.max_epochs, left=epoch.left, **latest
        )
        return bool(
            self.stop and epoch.score is not None and self.stop(epoch.epochs_done, epoch.score)
        )

    def _write(self, state: str, *, left: float | None = None, **changes: Any) -> None:
        seconds = round(self.previous.seconds + time.monotonic() - self.started, 2)
        self.job.update(state=state, left=left, seconds=seconds, **changes)


def _run(job: Job, on_epoch: Callable[[Any], bool]) -> float | None:
    from medlight.callbacks.epoch_reporter import EpochReporter
    from medlight.callbacks.log_sweep_params import LogSweepParams
    from medlight.cli.config import load_config, register
    from medlight.cli.launch import run
    from medlight.cli.validate import check_targets

    import_from_here(trusted_names())
    register()
    cfg = load_config(job.folder)
    if RunDirectory(job.folder).last_checkpoint.is_file():
        cfg.resume = str(job.folder)
    check_targets(cfg)
    watching = [
        EpochReporter(metric=cfg.metric, on_epoch=on_epoch),
        LogSweepParams(values=hyperparameters(job.read().overrides)),
    ]
    return run(cfg, job.folder, callbacks=watching)


def _redirect_output(path: Path) -> None:
    """What this process and its children say goes to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)


def error_summary(error: Exception) -> str:
    """What the table at the end shows; run.log has the rest."""
    from medlight.cli.errors import explain_error

    return explain_error(error, [], [], "config") or " ".join(
        f"{type(error).__name__}: {error}".split()
    )


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on the device or on the host."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in said or "can't allocate memory" in said
    )


if __name__ == "__main__":
    sys.exit(execute(Job(Path(sys.argv[1]))))
