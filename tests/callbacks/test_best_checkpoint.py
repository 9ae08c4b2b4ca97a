"""The best checkpoint is the one with the best score, whatever files are kept and called."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from medlight.callbacks.best_checkpoint import BestCheckpoint
from medlight.callbacks.last_checkpoint import LastCheckpoint
from medlight.core.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SCORES = [0.3, 0.52, 0.1, 0.54, 0.2, 0.46]


class Scripted(pl.LightningModule):
    """Its weight is the number of its epoch, and its score is read off a list."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.weight, self.scores = nn.Parameter(torch.zeros(())), scores

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return 0 * self.weight

    def on_train_epoch_start(self) -> None:
        self.weight.data.fill_(self.current_epoch)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/dice", torch.tensor(self.scores[self.current_epoch]))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(folder: Path, *, epochs: int = 6, mode: str = "max", **settings: Any) -> pl.Trainer:
    settings = {"filename": "best", "save_top_k": 1, "monitor": "val/dice", **settings}
    checkpoint = ModelCheckpoint(
        dirpath=folder / "mine", mode=mode, auto_insert_metric_name=False,
        enable_version_counter=False, **settings,
    )  # fmt: skip
    data = DataLoader(torch.zeros(2, 1))
    last = LastCheckpoint(dirpath=folder / "checkpoints")
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        callbacks=[checkpoint, last, BestCheckpoint(dirpath=folder / "checkpoints")],
    )  # fmt: skip
    resumed = last.path if last.path.is_file() else None
    trainer.fit(Scripted(SCORES), data, data, ckpt_path=resumed)
    return trainer


def epoch_of(path: Path | str) -> int:
    return int(torch.load(path, weights_only=True)["state_dict"]["weight"])


@pytest.mark.parametrize(
    "settings",
    [
        {"save_top_k": 1},
        {"save_top_k": 3},
        {"save_top_k": -1},
        {"save_top_k": 3, "filename": "mine"},
        {"save_top_k": 3, "filename": None},
        {"save_top_k": 2, "filename": "{val/dice:.1f}"},  # the same for two epochs
        {"save_top_k": 2, "filename": "e={epoch}/{val/dice:.2f}"},
        {"save_top_k": 1, "filename": "step{step:04d}"},
    ],
)
@pytest.mark.parametrize(("mode", "best"), [("max", 3), ("min", 2)])
def test_best_ckpt_is_the_best(
    settings: dict[str, Any], mode: str, best: int, tmp_path: Path
) -> None:
    """With save_top_k=3 it was the last epoch, which was tested, swept and exported."""
    train(tmp_path, epochs=2, mode=mode, **settings)
    trainer = train(tmp_path, mode=mode, **settings)  # goes on with the rest
    assert epoch_of(tmp_path / "checkpoints" / "best.ckpt") == best
    assert epoch_of(trainer.checkpoint_callback.best_model_path) == best  # type: ignore[union-attr]
    assert trainer.checkpoint_callback.best_model_score == pytest.approx(SCORES[best])  # type: ignore[union-attr]
    kept = settings["save_top_k"] if settings["save_top_k"] > 0 else len(SCORES)
    assert len(list((tmp_path / "mine").rglob("*.ckpt"))) == kept


@pytest.mark.parametrize(
    ("key", "value"), [("save_last", True), ("filename", "last"), ("save_weights_only", True)]
)
def test_other_weights_are_not_filed_as_the_best_or_the_last(
    key: str, value: Any, tmp_path: Path
) -> None:
    """save_weights_only=true left the average of the weights and the facts of the data out."""
    with pytest.raises(ConfigError, match=rf"callbacks\.checkpoint\.{key}: .* leave {key} out"):
        train(tmp_path, **{key: value})
    assert not list(tmp_path.rglob("*.ckpt"))
