"""The files of somebody else's run directory, damaged: one line that names the file, never a
traceback, a hang or a GB of memory."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir

from medlight.cli.config import load_config, portable_config, register
from medlight.cli.options import conf_dir
from medlight.compare.comparison import compare as compare_groups
from medlight.compare.groups import group_runs
from medlight.compare.runs import read_curves, read_run
from medlight.core.outcome import Metric, OutcomeSpec
from medlight.inference.postprocess import candidates, load_candidate_means, select_postprocessing
from medlight.jobs.predict import _check_earlier
from medlight.runs.case_table import read_case_table
from medlight.runs.directory import RunDirectory
from medlight.sweep.job import Job

Fuzz = Callable[..., list[str]]

CLASSES = ("liver", "tumour")
ROOT_KEYS = ("name", "seed", "metric", "paths", "data", "task", "trainer", "job", "callbacks")
FORMS = {
    "config.yaml": "yaml", "cases.csv": "bytes", "cases.csv.gz": "bytes", "curves.csv": "bytes",
    "job.json": "json", "metrics.json": "json", "outcome.json": "json", "provenance.json": "json",
    "split.json": "json", "postprocessing.json": "json", "predicted_by.json": "json",
}  # fmt: skip


@pytest.fixture(scope="module")
def config() -> Any:
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", ["experiment=seg_unet2d", "data=phantom2d", "paths.run_dir=run"])
    return _trimmed(portable_config(cfg, Path("run")))


def _trimmed(node: Any) -> Any:
    """A key or two of each group: reading all takes OmegaConf half a second."""
    if not isinstance(node, dict):
        return node
    kept = ROOT_KEYS if "paths" in node else list(node)[:2]
    return {key: _trimmed(node[key]) for key in kept}


def write_run(folder: Path, config: Any) -> Path:
    """A small segmentation, with every file that others read."""
    folder.mkdir()
    random = np.random.default_rng(0)
    head = "case,patient,fold,stage,class,dice,n_reference\n"
    lines = [
        f"case_{i},p{i},0,test,{name},{random.random():.3f},{100 + i}\n"
        for i in range(6)
        for name in CLASSES
    ]
    (folder / "cases.csv").write_text(head + "".join(lines))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    metric = Metric("higher", "", "Dice")
    columns = ("case", "patient", "fold", "stage", "class")
    policy = "both empty: left out"
    spec = OutcomeSpec(
        "segmentation", CLASSES, {"dice": metric}, policy, columns, True, "n_reference"
    )
    dice = {step.name: 0.5 for step in candidates(3)}
    texts: dict[str, Any] = {
        "outcome.json": spec.as_dict(),
        "metrics.json": {"test/dice": 0.5, "test/dice/liver": 0.4, "test/dice_low": 0.2},
        "provenance.json": {
            "status": "finished", "seed": 0, "policy": policy,
            "split": {"fold": 0, "train": 4, "val": 2, "test": 6}, "code": {"commit": "abc123"},
            "data": {"fingerprint": "f1", "name": "drawn"}, "net": {"parameters": 1000},
            "times": {"fit_seconds": 60.0, "started": "2026-01-01"}, "hardware": {"device": "x"},
        },
        "split.json": {"fold": 0, "train": ["a"], "val": ["b"], "test": ["c"], "hash": "0"},
        "job.json": {"state": "done", "overrides": ["a=1"], "epoch": 1, "seconds": 1.5},
        "postprocessing.json": {
            "spatial_dims": 3,
            "classes": {name: {"cases": 3, "dice": dice} for name in CLASSES},
        },
        "predicted_by.json": {"runs": ["a"], "overlap": 0.5},
    }  # fmt: skip
    for name, content in texts.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "curves.csv").write_text("epoch,step,seconds,val/dice\n0,1,1,0.5\n1,2,2,0.6\n")
    return folder


@pytest.fixture
def other(tmp_path: Path, config: Any) -> Any:
    return read_run(write_run(tmp_path / "other", config))


def as_loaded(file: Path) -> Any:
    try:
        RunDirectory(file.parent).config()
    finally:
        load_config(file.parent)


@pytest.fixture
def readers(other: Any) -> dict[str, Callable[[Path], Any]]:
    def compared(file: Path) -> Any:
        run = read_run(file.parent)
        read_curves(run)
        return compare_groups(group_runs([run, other]), n_resamples=100)

    def postprocessing(file: Path) -> Any:
        means = load_candidate_means(file.parent)
        return means and select_postprocessing([means]).as_dict()

    def earlier(file: Path) -> None:
        _check_earlier(file.parent, json.loads(json.dumps({"runs": ["a"], "overlap": 0.5})), {"c"})

    return {
        **dict.fromkeys(FORMS, compared),
        "config.yaml": as_loaded,
        "cases.csv.gz": lambda file: read_case_table(file).rows(),
        "curves.csv": lambda file: read_curves(read_run(file.parent)),
        "job.json": lambda file: Job(file.parent).read(),
        "metrics.json": lambda file: RunDirectory(file.parent).metrics(),
        "split.json": lambda file: RunDirectory(file.parent).split(),
        "postprocessing.json": postprocessing,
        "predicted_by.json": earlier,
    }


@pytest.mark.parametrize("name", FORMS)
def test_a_damaged_file_of_a_run(
    tmp_path: Path, fuzz: Fuzz, readers: dict[str, Callable[[Path], Any]], config: Any, name: str
) -> None:
    file = write_run(tmp_path / "run", config) / name
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress((tmp_path / "run" / "cases.csv").read_bytes()))
    assert fuzz(file, FORMS[name], readers[name]) == []
