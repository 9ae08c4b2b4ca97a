"""Every yaml in conf/model through the front door, on real images: it learns within minutes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medlight.cli.options import conf_dir, groups

IMAGES = [
    "experiment=cls_resnet_fast",
    'data.exclude=["*[1-9]","*[2-9]?"]',  # a fiftieth of MedNIST
    "data.batch_size=32",
    "data.epoch_samples=1000",
    "trainer.max_epochs=1",
]
VOLUMES = [
    "experiment=seg_unet3d_quick",
    "data.epoch_samples=40",
    "trainer.max_epochs=2",
    "+trainer.limit_val_batches=4",
    "+trainer.limit_test_batches=4",
    "inference.tta=false",
]
SETTINGS = {
    "densenet121": ["optimizer.lr=1e-3"],
    "efficientnet_b0": ["optimizer.lr=1e-3", "trainer.max_epochs=3"],
    "resnet18": ["optimizer.lr=1e-3", "trainer.max_epochs=3"],
    "resnet50": ["optimizer.lr=1e-3", "trainer.max_epochs=3"],
    "vit": ["optimizer.lr=1e-3"],
    "attention_unet": ["model.channels=[8,16,32,64]"],
    "dynunet": ["model.deep_supervision=true", "model.filters=[8,16,32,64]"],
    "segresnet": ["model.init_filters=8"],
    "swin_unetr": [
        "model.feature_size=12", "data.patch=[32,32,32]", "optimizer.lr=3e-4",
        "trainer.limit_val_batches=1", "trainer.limit_test_batches=1",
    ],
    "unetr": [
        "model.feature_size=8", "model.hidden_size=96", "model.mlp_dim=192", "model.num_heads=4",
    ],
}  # fmt: skip
"""What a net needs to learn within minutes; segmentation nets of full size take longer."""
PRESETS = {
    "workshop2d": [
        *IMAGES, "transforms=workshop2d", "augment=workshop2d", "optimizer.lr=1e-3",
        "trainer.max_epochs=3",
    ],
    "workshop3d": [
        *VOLUMES, "transforms=workshop3d", "augment=workshop3d", "data.patch=[64,64,32]",
    ],
}  # fmt: skip


def train(folder: Path, data: Path, cache: Path, words: list[str]) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "medlight", *words, "hydra.run.dir=run"],
        cwd=folder,
        env={**os.environ, "MEDLIGHT_DATA": str(data), "MEDLIGHT_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"


def learned(run: Path) -> bool:
    scores = json.loads((run / "metrics.json").read_text())
    if "test/accuracy" in scores:
        return float(scores["test/accuracy"]) > 0.4  # six classes
    with (run / "curves.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file)]
    return losses[-1] < losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(groups([conf_dir()])["model"]))
def test_it_learns(model: str, real_data: Path, shared_cache: Path, tmp_path: Path) -> None:
    text = (conf_dir() / "model" / f"{model}.yaml").read_text()
    start = IMAGES if "# task: classification" in text else VOLUMES
    settings = [*start, *SETTINGS.get(model, [])]
    run = train(tmp_path, real_data, shared_cache, [*settings, f"model={model}"])
    assert learned(run)
    assert json.loads((run / "provenance.json").read_text())["net"]["flops"] > 1e6


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_workshops_presets_learn(
    preset: str, real_data: Path, shared_cache: Path, tmp_path: Path
) -> None:
    assert learned(train(tmp_path, real_data, shared_cache, PRESETS[preset]))
