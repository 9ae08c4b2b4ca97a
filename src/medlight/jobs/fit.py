"""Train, then test with the best checkpoint."""

import logging
from pathlib import Path

import pytorch_lightning as pl

from medlight.data.datamodule import DataModule
from medlight.jobs.calibration import test
from medlight.jobs.copies import check_copies
from medlight.jobs.monitor import check_monitors
from medlight.jobs.pretrained import cases_behind, warn_of_pretrained_tests
from medlight.jobs.resume import check_resume
from medlight.jobs.verb import verb
from medlight.runs.directory import INITIAL_WEIGHTS_FILE, SEEN, RunDirectory
from medlight.runs.files import write_text
from medlight.tasks.base import Task
from medlight.tasks.init_weights import load_initial_weights

log = logging.getLogger(__name__)


@verb("data", "task", "trainer", "run_dir")
def fit(
    *,
    data: DataModule,
    task: Task,
    trainer: pl.Trainer,
    run_dir: Path,
    resume: str | Path | None = None,
    init: str | Path | None = None,
    calibrate: bool = False,
) -> float | None:
    """Fit, test where the split has a test side, and return the best validation score.

    Without a validation side, the weights of the last epoch are kept and tested.

    Args:
        run_dir: where checkpoints lie.
        resume: that same folder, to go on from its last checkpoint, or from the start where the
            run ended before there was one; None: start anew.
        init: a run directory or a checkpoint whose weights to start from, as far as they fit; what
            became of each is written to `init.txt`, with the cases that its run has seen.
        calibrate: divide the logits of a classifier by the temperature that fits the validation
            cases; it is reported either way.
    """
    last = RunDirectory(run_dir).last_checkpoint
    if data.split.val:
        check_monitors(task, trainer)
    if resume and last.is_file():
        check_resume(last, task, trainer)
    if resume and trainer.is_global_zero and not last.is_file():
        log.info("The run left no checkpoint: it starts from the beginning")
    if init and not (resume and last.is_file()):
        started = load_initial_weights(task.net, init)
        if trainer.is_global_zero:
            seen = cases_behind(started.source).difference(data.exclusions.withdrawn)
            details = started.details() + "".join(f"{SEEN}{case}\n" for case in sorted(seen))
            write_text(run_dir / INITIAL_WEIGHTS_FILE, details)
            log.info(started.summary())
            warn_of_pretrained_tests(data, seen, init)
    trainer.fit(task, datamodule=data, ckpt_path=last if resume and last.is_file() else None)
    checkpoint = trainer.checkpoint_callback
    best = getattr(checkpoint, "best_model_path", None) or None
    if data.split.val and best is None and trainer.is_global_zero:
        log.info("No validation chose a best checkpoint: the last weights are kept")
    if data.split.test:
        test(task, data, trainer, run_dir, checkpoint=best, calibrate=calibrate)
        if trainer.is_global_zero:
            check_copies(data, trainer)
    elif trainer.is_global_zero:
        log.warning("Nothing was tested: fold %s has no test cases", data.split.fold)
    score = getattr(checkpoint, "best_model_score", None)
    return None if score is None else float(score)
