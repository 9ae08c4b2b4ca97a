"""The process of a job: `python -m medlight.sweep.process <run directory>` is the same.

All it needs stands in the directory's config.yaml, so that further processes of the job (DDP
starts them with these words) know nothing of the sweep. A server process has imported what is
slow, once, and forks a process for each job; jobs share nothing else.
"""

import importlib.util
import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from medlight.sweep.names import plain

Stop = Callable[[int, float], bool]
"""(epochs done, score) to whether the job is not worth finishing."""
NAME = "medlight.sweep.process"
PRELOADED = ("medlight.cli.lazy_imports", "medlight.cli.launch", "monai")
"""What every job needs, in this order."""
LOG = "run.log"
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
PATIENCE_S = 60
"""For a job that was asked to end, to write its checkpoint."""


def server() -> Any:
    """Where job processes come from; where there is no fork, each starts from nothing."""
    known = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in known else "spawn")
    if multiprocessing.get_start_method(allow_none=True) not in (None, *known):
        multiprocessing.set_start_method(context.get_start_method(), force=True)  # joblib's own
    context.set_forkserver_preload(list(PRELOADED))
    return context


def carry_out(job: Job, stop: Callable[[], Stop] | None = None) -> Status:
    """Run the job in a process of its own, wait for its end, and say how it ended.

    Args:
        stop: makes the judge of the job; is called in that process, so must be picklable.
    """
    process = server().Process(target=_forked, args=(job, stop), name=job.key)
    process.start()
    try:
        process.join()
    except BaseException:
        process.terminate()
        process.join(PATIENCE_S)
        process.kill()
        raise
    with job.held():
        status = job.read()
        if status.state not in (WAITING, RUNNING):
            return status
        code = process.exitcode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return job.update(state=INTERRUPTED, left=None, error=f"its process {how}")


def _forked(job: Job, stop: Callable[[], Stop] | None) -> None:
    import __main__

    __main__.__spec__ = importlib.util.find_spec(NAME)  # what DDP starts further processes from
    sys.argv = [NAME, str(job.folder)]
    sys.exit(work(job, stop))


def work(job: Job, stop: Callable[[], Stop] | None = None) -> int:
    """What the process does: the job, unless it is done; of several ranks the first keeps books."""
    if any(os.environ.get(name, "0") != "0" for name in RANKS):
        _run(job, lambda epoch: False)
        return 0
    with job.held():  # waits for a process of an earlier sweep that is still at it
        if job.read().state in ENDED:
            return 0
        _speak_to(job.folder / LOG)
        return Books(job, stop).keep()


class Books:
    """Writes down how far a job is and how it ends."""

    def __init__(self, job: Job, stop: Callable[[], Stop] | None) -> None:
        self.job = job
        self.stop = stop() if stop else None
        self.before = job.read()
        self.started = time.monotonic()

    def keep(self) -> int:
        self.job.update(state=RUNNING, starts=self.before.starts + 1, error=None, left=None,
                        out_of_memory=False)  # fmt: skip
        from medlight.callbacks.epochs import Pruned

        try:
            score = _run(self.job, self.epoch)
        except Pruned:
            self._write(PRUNED)
        except SystemExit:  # after SIGTERM
            self._write(INTERRUPTED, error="it was asked to end")
            return 1
        except Exception as error:
            traceback.print_exc()
            line, full = one_line(error), is_full(error)
            failures = self.before.failures + 1
            self._write(FAILED, failures=failures, error=line, out_of_memory=full)
            return 1
        except BaseException:
            self._write(INTERRUPTED, error="it was interrupted")
            raise
        else:
            self._write(DONE, **({} if score is None else {"score": score}))
        return 0

    def epoch(self, epoch: Any) -> bool:
        """After an epoch (a `medlight.callbacks.epochs.Epoch`): whether to stop."""
        latest = {} if epoch.score is None else {"score": epoch.score}
        self._write(RUNNING, epoch=epoch.number, epochs=epoch.of, left=epoch.left, **latest)
        return bool(self.stop and epoch.score is not None and self.stop(epoch.number, epoch.score))

    def _write(self, state: str, *, left: float | None = None, **changes: Any) -> None:
        seconds = round(self.before.seconds + time.monotonic() - self.started, 2)
        self.job.update(state=state, left=left, seconds=seconds, **changes)


def _run(job: Job, tell: Callable[[Any], bool]) -> float | None:
    from medlight.callbacks.epochs import Epochs
    from medlight.callbacks.varied import Varied
    from medlight.cli.config import load_config, register
    from medlight.cli.launch import run
    from medlight.cli.validate import check_targets

    if os.getcwd() not in sys.path:  # a user's own modules
        sys.path.insert(0, os.getcwd())
    register()
    cfg = load_config(job.folder)
    if (job.folder / "checkpoints" / "last.ckpt").is_file():
        cfg.resume = str(job.folder)
    check_targets(cfg)
    watching = [Epochs(metric=cfg.metric, tell=tell), Varied(values=plain(job.read().overrides))]
    return run(cfg, job.folder, callbacks=watching)


def _speak_to(path: Path) -> None:
    """What this process and its children say goes to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)


def one_line(error: Exception) -> str:
    """What the table at the end shows; run.log has the rest."""
    from medlight.cli.errors import explain

    return explain(error, [], [], "config") or " ".join(f"{type(error).__name__}: {error}".split())


def is_full(error: Exception) -> bool:
    """Whether memory ran out, on the device or on the host."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in said or "can't allocate memory" in said
    )


if __name__ == "__main__":
    sys.exit(work(Job(Path(sys.argv[1]))))
