"""Let the validation cases of a run choose what is done to its predictions."""

import json
import logging
from pathlib import Path

import pytorch_lightning as pl
import torch
from rich.progress import track

from medlight.core.errors import ConfigError, DataNotFoundError, SplitError
from medlight.data.datamodule import DataModule
from medlight.inference.choose import CHOSEN, Choice, Evidence, pooled
from medlight.runs.files import write_text
from medlight.tasks.base import Task

log = logging.getLogger(__name__)


def postprocess(
    *, data: DataModule, task: Task, trainer: pl.Trainer, run_dir: Path, checkpoint: str = "best"
) -> None:
    """Write `postprocessing.json` into the run: what every candidate makes of the validation
    Dice. Predictions of this run, and of ensembles whose runs all have it, then do what is best;
    test cases have no say.

    Args:
        checkpoint: "best", "last", or the path of a checkpoint.
    """
    facts = task.facts
    if facts.labels.kind != "mask":
        raise ConfigError("postprocess mends masks, but this run classifies")
    if not data.split.val:
        raise SplitError(f"{run_dir}: fold {data.split.fold} has no validation cases to ask")
    if trainer.world_size > 1:
        raise ConfigError("postprocess takes one process: trainer.devices=1")
    path = Path(checkpoint)
    if checkpoint in ("best", "last"):
        path = run_dir / "checkpoints" / f"{checkpoint}.ckpt"
    if not path.is_file():
        raise DataNotFoundError(f"no checkpoint at {path}; train first")
    evidence = Evidence(facts.labels.names, facts.spatial_dims)
    held = torch.load(path, map_location="cpu", weights_only=True)
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
    choice = Choice(facts.spatial_dims, evidence.means())
    chosen = pooled([choice]).as_dict()
    text = json.dumps({**choice.as_dict(), "chosen": chosen}, indent=2, ensure_ascii=False)
    write_text(run_dir / CHOSEN, text + "\n")
    for name, about in choice.means.items():
        step = pooled([choice]).steps.get(name)
        scores = about["dice"]
        told = "unchanged" if step is None else f"{step.name}, {scores[step.name]:.4f}"
        log.info(
            "%s: Dice %.4f on %d validation cases; %s",
            name, scores["unchanged"], about["cases"], told,
        )  # fmt: skip
