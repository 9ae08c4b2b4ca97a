"""Tiny data and tasks: a second of real Lightning, made from random numbers."""

import getpass
import os
import re
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from medlight.core.case_result import CaseResult, Row
from medlight.core.data_spec import DataSpec
from medlight.core.grid import Grid
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.core.sample import Sample
from medlight.core.split import Split
from medlight.data.dataset import collate
from medlight.data.sampling import EvalSampler
from medlight.data.sliced import SlicedByPlane
from medlight.metrics.segmentation_cases import SegmentationScorer
from medlight.tasks.base import Batch, Task
from medlight.tasks.multiclass_outcome import MulticlassOutcome
from medlight.tasks.outcome import Outcome
from medlight.tasks.segmentation_outcome import SegmentationOutcome

ORGANS = Labels(("background", "liver", "spleen"), "mask")
HANDS = Labels(("Hand", "Chest", "Head"), "multiclass")
ABSENT = (9, 12)
"""Cases without a spleen. One is predicted in the noise of case 9, none in case 12."""
FLIPPED = np.diag([-2.0, 1.5, 1.0, 1.0])


class TinyData(SlicedByPlane, pl.LightningDataModule):
    """Blobs in noise (volumes or images with masks) or bright and dark images (classes)."""

    slices = slice_labels = None

    def __init__(self, *, labels: Labels = ORGANS, dims: int = 3, public: bool = False) -> None:
        super().__init__()
        self.labels, self.dims, self.seed = labels, dims, 7
        ids = [f"ward7/case_{i:02}" for i in range(14)]
        self.cases = Index(
            labels=labels,
            sources=[Source("tiny", Path("/nowhere"), "1", "CC0", public=public)],
            ids=ids,
            patients=[f"mrs_smith_{i}" for i in range(14)],
            files={},
        )
        self.split = Split("0", tuple(ids[:6]), tuple(ids[6:9]), tuple(ids[9:]))
        self.spec = DataSpec(dims, 1, labels, (16,) * dims)

    def sample(self, case: str) -> Sample:
        number = self.cases.ids.index(case)
        random = np.random.default_rng(number)
        shape = (16, 20 + number % 2, 12)[: self.dims] if number > 8 else (16, 20, 12)[: self.dims]
        noise = 0.02 if number == 12 else 0.3
        image = random.normal(0, noise, (1, *shape)).astype(np.float32)
        sample: Sample = {"case": case, "position": torch.tensor(number)}
        if self.labels.kind == "mask":
            mask = np.zeros(shape, np.int64)
            mask[3:9, 4:10] = 1
            mask[10:14, 12:18] = 0 if number in ABSENT else 2
            sample["mask"] = torch.from_numpy(mask[None])
            image += mask
        else:
            sample["label"] = torch.tensor(number % 3)
            image += number % 3
        sample["image"] = torch.from_numpy(image)
        sample["source_grid"] = Grid(shape, FLIPPED)
        return sample

    def _loader(self, side: str, batch_size: int) -> DataLoader[Sample]:
        samples = [self.sample(case) for case in getattr(self.split, side)]
        trainer = self.trainer
        mine = EvalSampler(len(samples), rank=trainer.global_rank, world_size=trainer.world_size)
        return DataLoader(samples, batch_size=batch_size, collate_fn=collate, sampler=mine)

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        return batch

    def train_dataloader(self) -> DataLoader[Sample]:
        return self._loader("train", 2)

    def val_dataloader(self) -> DataLoader[Sample]:
        return self._loader("val", 1)

    def test_dataloader(self) -> DataLoader[Sample]:
        return self._loader("test", 1)


class TinyNet(nn.Module):
    """One convolution; the mean of its output where one label per image is asked for."""

    def __init__(self, *, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        conv = (nn.Conv2d, nn.Conv3d)[spatial_dims - 2]
        self.conv = conv(in_channels, out_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image)


class TinySegmentation(Task):
    """Thresholds instead of learning, so that its predictions are known."""

    @classmethod
    def check_data(cls, spec: DataSpec) -> None:
        pass

    def build_outcome(self) -> Outcome:
        labels = self.spec.labels
        policy = SegmentationScorer.from_labels(labels).policy
        return SegmentationOutcome(labels.foreground, policy=policy, labels=labels.names)

    def step(self, batch: Batch) -> Tensor:
        return self.loss(self.net(batch["image"]), batch["mask"][:, 0])

    def infer(self, batch: Batch) -> list[CaseResult]:
        results = []
        for i, case in enumerate(batch["case"]):
            image = batch["image"][i].numpy()
            truth = batch["mask"][i, 0].numpy().astype(np.uint8)
            prediction = np.clip(np.rint(image[0]), 0, 2).astype(np.uint8)
            grid = batch["source_grid"][i]
            rows = SegmentationScorer.from_labels(self.spec.labels).rows(
                case, prediction, truth, grid
            )
            rows = tuple(row | {"uncertainty": int(case[-2:]) / 100} for row in rows)
            results.append(
                CaseResult(
                    case=case,
                    rows=rows,
                    image=image,
                    truth=truth,
                    prediction=prediction,
                    source_prediction=prediction,
                    source_grid=batch["source_grid"][i],
                )
            )
        return results


class TinyClassification(Task):
    """Guesses from the mean grey value, and is wrong about every fourth case."""

    temperature = 1.0

    @classmethod
    def check_data(cls, spec: DataSpec) -> None:
        pass

    def build_outcome(self) -> Outcome:
        return MulticlassOutcome(self.spec.labels.names)

    def calibrate(self, temperature: float) -> None:
        self.temperature = temperature

    def step(self, batch: Batch) -> Tensor:
        return self.loss(self.net(batch["image"]).flatten(2).mean(2), batch["label"])

    def infer(self, batch: Batch) -> list[CaseResult]:
        names = self.spec.labels.names
        results = []
        for case, image, truth in zip(batch["case"], batch["image"], batch["label"], strict=True):
            guess = int(image.mean().round())
            guess = (guess + 1) % 3 if int(case[-2:]) % 4 == 3 else guess
            raised = [(0.8 if k == guess else 0.1) ** (1 / self.temperature) for k in range(3)]
            p = {f"p_{n}": r / sum(raised) for n, r in zip(names, raised, strict=True)}
            row: Row = {"case": case, "truth": names[truth], "prediction": names[guess], **p}
            row["uncertainty"] = 0.2 + int(case[-2:]) / 100
            results.append(CaseResult(case=case, rows=(row,), image=image.numpy()))
        return results


KINDS = {"volumes": (ORGANS, 3), "images": (ORGANS, 2), "classes": (HANDS, 2)}


@dataclass
class Run:
    data: TinyData
    task: Task
    trainer: pl.Trainer

    def fit(self, checkpoint: Path | None = None) -> None:
        self.trainer.fit(self.task, datamodule=self.data, ckpt_path=checkpoint)

    def test(self, checkpoint: Path | None = None) -> None:
        self.trainer.test(self.task, datamodule=self.data, ckpt_path=checkpoint, verbose=False)


def make_run(
    kind: str,
    folder: Path,
    callbacks: Sequence[pl.Callback] = (),
    loggers: Sequence[pl.loggers.Logger] = (),
    *,
    epochs: int = 1,
    devices: int = 1,
    public: bool = False,
    **options: Any,
) -> Run:
    """Data, task and trainer (with `options`), ready to fit or test; `kind` is one of KINDS."""
    labels, dims = KINDS[kind]
    data = TinyData(labels=labels, dims=dims, public=public)
    cls = TinySegmentation if labels.kind == "mask" else TinyClassification
    task = cls(net=TinyNet, spec=data.spec, loss=nn.CrossEntropyLoss(), channels_last=False)
    saves = any(isinstance(c, pl.callbacks.ModelCheckpoint) for c in callbacks)
    bar = any(isinstance(c, pl.callbacks.ProgressBar) for c in callbacks)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="auto" if devices == 1 else "ddp_fork",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=list(loggers),
        enable_checkpointing=saves,
        enable_progress_bar=bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=1,
        default_root_dir=folder,
        **options,
    )
    return Run(data, task, trainer)


@pytest.fixture
def new_run() -> Callable[..., Run]:
    """`make_run`; tests cannot import each other."""
    return make_run


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without an API key, in a home of their own."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home_of_dr_no"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home_of_dr_no" / "cache"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))


def assert_names_nobody(text: str, *folders: Path) -> None:
    for name in {socket.gethostname(), getpass.getuser(), "dr_no"}:
        assert not re.search(rf"\b{re.escape(name)}\b", text), name
    for folder in {Path.cwd(), Path(sys.prefix), *folders}:
        assert str(folder) not in text
    assert "git@" not in text
    assert ".git" not in text


@pytest.fixture
def names_nobody() -> Callable[..., None]:
    """Asserts that a text names no host, user, repository or folder."""
    return assert_names_nobody
