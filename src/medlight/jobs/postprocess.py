"""Let the validation cases of a run choose what is done to its predictions."""

import json
import logging
from pathlib import Path

import pytorch_lightning as pl
import torch
from rich.progress import track

from medlight.core.errors import ConfigError, SplitError
from medlight.data.datamodule import DataModule
from medlight.inference.postprocess import (
    POSTPROCESSING_FILE,
    CandidateMeans,
    CandidateScores,
    select_postprocessing,
)
from medlight.jobs.verb import verb
from medlight.runs.directory import RunDirectory
from medlight.runs.files import write_text
from medlight.tasks.base import Task
from medlight.tasks.checkpoint import check_weights, load_checkpoint

log = logging.getLogger(__name__)


@verb("data", "task", "trainer", "run_dir")
def postprocess(
    *, data: DataModule, task: Task, trainer: pl.Trainer, run_dir: Path, checkpoint: str = "best"
) -> None:
    """Write `postprocessing.json` into the run: what every candidate makes of the validation
    Dice. Predictions of this run, and of ensembles whose runs all have it, then do what is best;
    test cases have no say.

    Args:
        checkpoint: "best", "last", or the path of a checkpoint.

    Raises:
        ConfigError: the run does not segment.
        SplitError: it has no validation cases.
    """
    spec = task.spec
    if not spec.labels.per_voxel:
        raise ConfigError("postprocess works on masks, but this run predicts none")
    if not data.split.val:
        raise SplitError(f"{run_dir}: fold {data.split.fold} has no validation cases")
    if trainer.world_size > 1:
        raise ConfigError("postprocess takes one process: trainer.devices=1")
    path = RunDirectory(run_dir).checkpoint(checkpoint)
    evidence = CandidateScores(spec.labels.names, spec.image_dims, spec.ignore)
    held = load_checkpoint(path)
    check_weights(path, held, task)
    task.load_state_dict(held["state_dict"])
    device = trainer.strategy.root_device
    task.eval().to(device)
    for batch in track(data.val_dataloader(), "validation cases", transient=True):
        moved = data.transfer_batch_to_device(batch, device, 0)
        with torch.inference_mode():
            results = task.infer(moved)
        for result, grid in zip(results, batch["grid"], strict=True):
            if result.prediction is not None and result.truth is not None:
                evidence.add(result.prediction, result.truth, grid.spacing_mm)
    candidate_means = CandidateMeans(spec.image_dims, evidence.means())
    chosen = select_postprocessing([candidate_means]).as_dict()
    text = json.dumps(
        {**candidate_means.as_dict(), "selected": chosen}, indent=2, ensure_ascii=False
    )
    write_text(run_dir / POSTPROCESSING_FILE, text + "\n")
    for name, about in candidate_means.means.items():
        step = select_postprocessing([candidate_means]).steps.get(name)
        scores = about["dice"]
        told = "unchanged" if step is None else f"{step.name}, {scores[step.name]:.4f}"
        log.info(
            "%s: Dice %.4f on %d validation cases; %s",
            name, scores["unchanged"], about["cases"], told,
        )  # fmt: skip
