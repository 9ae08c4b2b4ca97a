"""Whole runs through the front door, on drawn data."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medlight.inference.postprocess import Postprocessing, PostprocessStep

SMALL = [
    "experiment=seg_unet2d",
    "data.n_cases=30",
    "data.batch_size=4",
    "data.epoch_samples=8",
    "model.channels=[4,8]",
    "model.strides=[2]",
    "hydra.run.dir=run",
]


Medlight = Callable[..., str]


@pytest.fixture
def medlight(
    run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, shared_cache: Path
) -> Medlight:
    """What the screen shows of a command that succeeds, typed in `tmp_path`."""

    def enter(*words: str, cache: Path = shared_cache) -> str:
        monkeypatch.setenv("MEDLIGHT_CACHE", str(cache))
        answer = run_cli(*words)
        assert answer.code == 0, answer.err
        return str(answer.out)

    return enter


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A folder in which two epochs were trained into `run`."""
    folder = tmp_path_factory.mktemp("work")
    done = subprocess.run(
        [sys.executable, "-m", "medlight", *SMALL, "trainer.max_epochs=2"],
        cwd=folder,
        env={
            "PATH": "",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(folder),
            "MEDLIGHT_CACHE": str(shared_cache),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_leaves_what_it_promises(trained: Path) -> None:
    run = trained / "run"
    promised = [
        "config.yaml", "provenance.json", "split.json", "metrics.json", "cases.csv",
        "curves.csv", "curves.png", "panels/overview.png", "run.log",
        "checkpoints/best.ckpt", "checkpoints/last.ckpt",
    ]  # fmt: skip
    assert [name for name in promised if not (run / name).is_file()] == []
    split = json.loads((run / "split.json").read_text())
    assert len(list((run / "predictions").iterdir())) == len(split["test"])
    rows = (run / "cases.csv").read_text().splitlines()
    columns = ["case", "patient", "fold", "stage", "class", "dice", "iou", "hd95_mm", "assd_mm"]
    assert rows[0].split(",")[:9] == columns
    assert len(rows) == 1 + 3 * len(split["test"])


def test_no_file_of_a_run_names_this_machine(trained: Path) -> None:
    for name in ("config.yaml", "provenance.json", "run.log", "curves.csv", "cases.csv"):
        assert str(trained) not in (trained / "run" / name).read_text(), name


@pytest.mark.filterwarnings("ignore:Total length of")  # Lightning asks about the empty sides
def test_fold_all_trains_on_everything_and_keeps_the_last(
    tmp_path: Path, medlight: Medlight
) -> None:
    medlight(*SMALL, "data.fold=all", "trainer.max_epochs=1", "~logger")
    run = tmp_path / "run"
    split = json.loads((run / "split.json").read_text())
    assert (len(split["train"]), split["val"], split["test"]) == (30, [], [])
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert not (run / "cases.csv").exists()


def test_predicting_needs_the_run_alone(
    trained: Path, tmp_path: Path, shared_cache: Path, medlight: Medlight
) -> None:
    """The files of test cases give the masks that the test wrote, far from the training data."""
    shutil.copytree(trained / "run", tmp_path / "elsewhere")
    nowhere = tmp_path / "no_cache"
    images = next(shared_cache.glob("phantoms/PhantomMasks*-30-*/slices/images"))
    medlight("predict", "run=elsewhere", f"input={images}", "output=out", cache=nowhere)
    assert not nowhere.exists()
    for mask in (trained / "run/predictions").iterdir():
        found, expected = (np.asarray(Image.open(p)) for p in (tmp_path / "out" / mask.name, mask))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_fine_tuning_with_several_loggers(
    tmp_path: Path, trained: Path, medlight: Medlight
) -> None:
    words = ["logger=[csv,tensorboard]", "callbacks=early_stopping", f"init={trained / 'run'}"]
    words += ["gradient_checkpointing=true", "schedule=one_cycle", "optimizer=sgd"]
    out = medlight(*SMALL, *words, "trainer.max_epochs=1")
    lines = (tmp_path / "run" / "init.txt").read_text().splitlines()
    started = [line for line in lines if not line.startswith("seen: ")]
    assert len(lines) > len(started), "the cases that the first run trained on"
    assert f"{len(started)} of {len(started)} tensors start from" in out
    assert all(line.startswith("loaded ") for line in started)
    assert (tmp_path / "run" / "curves.csv").is_file()
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


@pytest.mark.slow
def test_what_validation_chose_is_done_to_masks(
    tmp_path: Path, trained: Path, shared_cache: Path, medlight: Medlight
) -> None:
    """By `predict` and by `evaluate`, and not when asked not to."""
    shutil.copytree(trained / "run", tmp_path / "run")
    screen = medlight("postprocess", "run=run")
    path = tmp_path / "run/postprocessing.json"
    found = json.loads(path.read_text())
    scores = {name: about["dice"]["unchanged"] for name, about in found["classes"].items()}
    curves = list(csv.DictReader((tmp_path / "run/curves.csv").read_text().splitlines()))
    best = max(float(row["val/dice"]) for row in curves)
    assert np.mean(list(scores.values())) == pytest.approx(best, abs=1e-5)
    split = json.loads((tmp_path / "run/split.json").read_text())
    for name, dice in scores.items():
        assert f"{name}: Dice {dice:.4f} on {len(split['val'])} validation cases" in screen
    for about in found["classes"].values():
        about["dice"]["at least 1000"] = 1.0  # as if parts that are no larger were all wrong
    path.write_text(json.dumps(found))
    names = ("background", *scores)
    postprocessing = Postprocessing({name: PostprocessStep(min_size=1000) for name in scores})
    images = next(shared_cache.glob("phantoms/PhantomMasks*-30-*/slices/images"))
    predict = ["predict", "run=run", f"input={images}"]
    medlight(*predict, "output=postprocessed")
    medlight(*predict, "output=plain", "postprocess=false")
    medlight("evaluate", "run=run")
    for mask in (trained / "run/predictions").iterdir():
        before = np.asarray(Image.open(mask))
        expected = postprocessing(before, names, (1.0, 1.0))
        for folder, wanted in (
            ("postprocessed", expected),
            ("plain", before),
            ("run/predictions", expected),
        ):
            found_mask = np.asarray(Image.open(tmp_path / folder / mask.name))
            np.testing.assert_array_equal(found_mask, wanted, err_msg=folder)
    for folder, steps in (("postprocessed", postprocessing.as_dict()), ("plain", {})):
        about = json.loads((tmp_path / folder / "predicted_by.json").read_text())
        assert about["postprocessing"] == steps
