"""Every kind of task through every verb: those that are shipped, and one no code has seen."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

DOCS = Path(__file__).parents[2] / "docs"
LABELS_OF_PATTERNS = '''
"""Two yes-or-no labels of the drawn patterns; nobody looked whether a disc is closed."""

from math import nan

import numpy as np

from medlight.core.index import Index
from medlight.core.labels import Labels
from medlight.datasets.phantom import Phantom2DDataModule

TAGS = {"cross": (0, 0), "disc": (1, nan), "ring": (1, 1), "stripes": (0, 1)}


class PatternLabelsDataModule(Phantom2DDataModule):
    def index(self) -> Index:
        drawn = super().index()
        return Index(
            labels=Labels(("curved", "closed"), "multilabel"),
            sources=drawn.sources,
            ids=drawn.ids,
            patients=drawn.patients,
            files=drawn.files,
            tags=np.array([TAGS[case.split("/")[0]] for case in drawn.ids], np.float32),
        )
'''


class Kind(NamedTuple):
    settings: list[str]
    columns: set[str]  # of cases.csv
    metric: str
    pictures: str  # four of its own


PICTURES = ["data=phantom2d", "data.n_cases=60", "model.width=4"]
PATTERNS, MASKS = "patterns/ring/0000*.png", "slices/images/000[0-3].png"
KINDS = {
    "segmentation": Kind(
        ["experiment=seg_unet2d", "data.n_cases=24", "data.patch=[32,32]", "model.channels=[4,8]",
         "model.strides=[2]"],
        {"class", "dice", "hd95_mm", "uncertainty"}, "dice", MASKS,
    ),
    "multiclass": Kind(
        ["experiment=cls_resnet_fast", *PICTURES],
        {"truth", "prediction", "p_disc", "uncertainty"}, "accuracy", PATTERNS,
    ),
    "multilabel": Kind(
        ["experiment=cls_resnet_fast", *PICTURES, "task=multilabel", "loss=masked_bce",
         "metric=val/auroc", "data._target_=pattern_labels.PatternLabelsDataModule"],
        {"truth_curved", "p_curved", "p_closed", "uncertainty"}, "auroc", PATTERNS,
    ),
    "regression": Kind(
        ["experiment=coverage", "data.n_cases=60", "model.width=4"],
        {"true_coverage", "coverage", "absolute_error"}, "absolute_error", PATTERNS,
    ),
}  # fmt: skip
QUICK = ["data.batch_size=8", "data.epoch_samples=16", "data.folds=3", "data.val_fraction=0.2",
         "trainer.max_epochs=1", "callbacks.panels.max_cases=2", "name=try"]  # fmt: skip
CACHE = "paths.cache=cache"


class Folder:
    """Where one kind is tried, as a user has it: their own file and yaml beside the runs."""

    def __init__(self, path: Path, kind: Kind, run_cli: Callable[..., Any]) -> None:
        self.path, self.kind, self.run_cli = path, kind, run_cli
        self.train = [*kind.settings, *QUICK, CACHE]
        (path / "pattern_labels.py").write_text(LABELS_OF_PATTERNS)
        page = (DOCS / "new_task.md").read_text()
        for language, block in re.findall(r"```(python|yaml)\n(.*?)```", page, re.S):
            file = path / block.splitlines()[0].removeprefix("# ")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.split("\n", 1)[1] if language == "yaml" else block)

    def type(self, *words: str) -> str:
        answer = self.run_cli(*words)
        assert answer.code == 0, f"medlight {' '.join(words)}\n{answer.out[-2000:]}{answer.err}"
        return answer.out

    def rows(self, run: str) -> list[dict[str, str]]:
        with (self.path / run / "cases.csv").open() as file:
            return list(csv.DictReader(file))


@pytest.fixture
def folder_of(
    tmp_path: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Folder]]:
    before = {*sys.modules}
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("MEDLIGHT_TRUST", "pattern_labels")  # typed at the training, in no conf/
    yield lambda name: Folder(tmp_path, KINDS[name], run_cli)
    for name in {"coverage", "pattern_labels"} - before:  # the next test has a folder of its own
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_trained_tested_predicted_compared_exported_and_repeated(
    name: str, folder_of: Callable[[str], Folder], tmp_path: Path
) -> None:
    folder = folder_of(name)
    pictures = f"input=cache/phantoms/*/{folder.kind.pictures}"
    folder.type(*folder.train, "hydra.run.dir=a")
    folder.type(*folder.train, "hydra.run.dir=b", "seed=1", "optimizer.lr=1e-3")
    folder.type("resume=b", "trainer.max_epochs=2", CACHE)
    first = folder.rows("a")
    folder.type("evaluate", "run=a", CACHE)
    assert folder.rows("a") == first
    folder.type("predict", "run=a", pictures, "output=predicted")
    folder.type("predict", "run=[a,b]", pictures, "output=together", "uncertainty=true")
    folder.type("compare", "a", "b", "--output", "compared", "--metric", "all")
    folder.type("export", "run=a", "format=torch_export", "output=artifact")
    said = folder.type("reproduce", "run=a", CACHE)
    assert "Reproduced: metrics.json and cases.csv are identical" in said
    assert folder.kind.columns <= set(folder.rows("a")[0])
    assert len((tmp_path / "b/curves.csv").read_text().splitlines()) == 3
    assert re.search(r"max_epochs: 2\b", (tmp_path / "b/config.yaml").read_text())
    metrics = json.loads((tmp_path / "a/metrics.json").read_text())
    assert metrics[f"test/{folder.kind.metric}"] is not None
    for output in ("predicted", "together"):
        if name == "segmentation":
            assert len(list((tmp_path / output).glob("*.png"))) == 4
        else:
            lines = (tmp_path / output / "predictions.csv").read_text().splitlines()
            assert len(lines) == 5
    compared = json.loads((tmp_path / "compared/comparison.json").read_text())
    assert folder.kind.metric in {row["metric"] for row in compared["scores"]}
    assert {row["verdict"] for row in compared["scores"]} & {"better", "worse", "inconclusive"}
    assert json.loads((tmp_path / "artifact/artifact.json").read_text())["parity"]
    assert list((tmp_path / "a/panels").glob("*.png"))


def test_a_run_is_compared_by_those_who_lack_its_task(
    folder_of: Callable[[str], Folder], tmp_path: Path
) -> None:
    folder = folder_of("regression")
    folder.type(*folder.train, "hydra.run.dir=a")
    folder.type(*folder.train, "hydra.run.dir=b", "optimizer.lr=1e-9", "seed=3")
    errors = {run: [float(row["absolute_error"]) for row in folder.rows(run)] for run in "ab"}
    mean = {run: sum(each) / len(each) for run, each in errors.items()}
    for mine in (tmp_path / "coverage.py", tmp_path / "conf/experiment/coverage.yaml"):
        mine.unlink()
    folder.type("compare", "a", "b", "--output", "compared")
    compared = json.loads((tmp_path / "compared/comparison.json").read_text())
    rows = {row["run"]: row for row in compared["scores"]}
    [contender] = [row for row in rows.values() if row["verdict"]]
    reference = next(row for row in rows.values() if not row["verdict"])
    assert (reference["mean"], contender["mean"]) == pytest.approx((mean["a"], mean["b"]))
    expected = "worse" if mean["b"] > mean["a"] else "better"  # an error: lower is better
    assert contender["verdict"] in (expected, "inconclusive")
    assert contender["wins"] == sum(b < a for a, b in zip(*errors.values(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_swept_folded_pushed_and_exported_to_onnx(
    name: str, folder_of: Callable[[str], Folder], tmp_path: Path
) -> None:
    folder = folder_of(name)
    folder.type(*folder.train, "sweep=lr", "optimizer.lr=1e-3,3e-3")
    folder.type(*folder.train, "sweep=folds", "data.fold=0,1,2")
    folder.type(*folder.train, "hydra.run.dir=a")
    folder.type(*folder.train, "hydra.run.dir=b", "seed=1", "optimizer.lr=1e-3")
    push = ["compare", "push", "a", "b", "--offline", "--output", "pushed"]  # W&B sets a process up
    subprocess.run([sys.executable, "-m", "medlight", *push], cwd=tmp_path, check=True)
    folder.type("export", "run=a", "format=onnx", "output=artifact")
    folder.type("evaluate", "run=outputs/sweeps/try_folds", "hydra.run.dir=pooled", CACHE)
    ranking = (tmp_path / "outputs/sweeps/try_lr/ranking.csv").read_text().splitlines()
    assert len(ranking) == 3
    for row in csv.DictReader(ranking):
        assert row["state"] == "done"
        low, score, high = (float(row[f"test_score{end}"]) for end in ("_low", "", "_high"))
        assert low <= score <= high
    assert list((tmp_path / "pushed").glob("wandb/offline-run-*/*.wandb"))
    pooled = json.loads((tmp_path / "pooled/metrics.json").read_text())
    assert pooled[f"test/{folder.kind.metric}"] is not None
    tested = {row["case"] for row in folder.rows("pooled")}
    assert len(tested) == (24 if name == "segmentation" else 60)  # each case once, over the folds
