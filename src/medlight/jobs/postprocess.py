"""Let the validation cases of a run choose what is done to its predictions."""

import json
import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from medlight.callbacks.files import write_text
from medlight.core.errors import ConfigError, DataNotFoundError, SplitError
from medlight.data.datamodule import DataModule
from medlight.inference.choose import CHOSEN, Choice, Evidence, pooled
from medlight.tasks.base import CaseResult, Task

log = logging.getLogger(__name__)


class _Collects(pl.Callback):
    """Tries all candidates on each validation case as it is predicted."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        results: list[CaseResult] = outputs
        for result, grid in zip(results, batch["grid"], strict=True):
            if result.prediction is not None and result.truth is not None:
                self.evidence.add(result.prediction, result.truth, grid.spacing_mm)


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
    trainer.callbacks = [*trainer.callbacks, _Collects(evidence)]  # type: ignore[attr-defined]
    trainer.predict(
        task, dataloaders=data.val_dataloader(), ckpt_path=path, return_predictions=False
    )
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
