"""A run keeps to its split, whatever is added to its data, or taken from them."""

import json
import shutil
from collections.abc import Callable
from csv import DictReader
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

RUN = [
    "experiment=cls_resnet_fast", "trainer.accelerator=cpu", "data.num_workers=0",
    "transforms.size=[32,32]", "~callbacks.panels", "~callbacks.selective", "logger=[]",
    "data.group_size=1", "data.epoch_samples=8",
]  # fmt: skip
Typed = Callable[..., tuple[int, str]]


def draw(root: Path, numbers: range) -> None:
    random = np.random.default_rng(0)
    for k in numbers:
        folder = root / "MedNIST" / ("Hand" if k % 2 else "CXR")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (64, 64)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{(7 * k) % 64:06d}.jpeg")


def sides(run: Path) -> dict[str, list[str]]:
    split = json.loads((run / "split.json").read_text())
    return {side: split[side] for side in ("train", "val", "test")}


def scored(run: Path) -> dict[str, tuple[str, ...]]:
    """Case to what the net said of it; what stands for its patient is its place among all."""
    with (run / "cases.csv").open() as file:
        return {
            r["case"]: tuple(v for k, v in r.items() if k != "patient") for r in DictReader(file)
        }


@pytest.fixture
def typed(tmp_path: Path, run_cli: Callable[..., Any]) -> Typed:
    def run(*words: str) -> tuple[int, str]:
        answer = run_cli(*words, f"data.root={tmp_path / 'set'}", "paths.cache=cache")
        return answer.code, answer.out + answer.err

    return run


def test_a_run_keeps_to_its_split(tmp_path: Path, typed: Typed) -> None:
    draw(tmp_path / "set", range(20))
    assert typed(*RUN, "trainer.max_epochs=1", "hydra.run.dir=run")[0] == 0
    before, tested = sides(tmp_path / "run"), scored(tmp_path / "run")

    # Twice as many cases, and one that it was tested on is gone.
    draw(tmp_path / "set", range(20, 40))
    lost = before["test"][0]
    (tmp_path / "set" / "MedNIST" / f"{lost}.jpeg").unlink()
    code, screen = typed("evaluate", "run=run")
    assert code == 0
    assert "Not used, as new since run: CXR/" in screen
    assert f"Not used, as left out or gone since run: {lost} (1 in all)" in screen
    assert scored(tmp_path / "run") == {k: v for k, v in tested.items() if k != lost}
    assert typed("resume=run", "trainer.max_epochs=2")[0] == 0
    now = sides(tmp_path / "run")
    assert now == before | {"test": [case for case in before["test"] if case != lost]}

    # One that it was trained on withdrew: no way on.
    gone = before["train"][0]
    (tmp_path / "set" / "withdrawn.txt").write_text(gone)
    code, screen = typed("resume=run", "trainer.max_epochs=3")
    assert code != 0
    assert "run was trained with cases that are left out now: 1; it cannot go on" in screen
    assert gone not in screen  # who withdrew is named nowhere

    shutil.rmtree(tmp_path / "set")
    draw(tmp_path / "set", range(40, 60))
    code, screen = typed("evaluate", "run=run")
    assert code != 0
    assert "none of the 19 cases of run" in screen
