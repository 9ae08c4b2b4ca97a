"""Weights of `init=` whose run had seen the cases of a test, and what is said of it."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medlight.jobs.model_card import _pretrained
from medlight.jobs.pretrained import cases_behind, warn_of_pretrained_tests
from medlight.runs.directory import RunDirectory


def run_of(folder: Path, split: dict[str, list[str]], init: str = "") -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "split.json").write_text(json.dumps(split))
    if init:
        (folder / "init.txt").write_text(init)
    return folder / "checkpoints" / "best.ckpt"


def data_of(patients: dict[str, str], test: list[str]) -> Any:
    index = SimpleNamespace(ids=tuple(patients), patients=tuple(patients.values()))
    return SimpleNamespace(full_index=index, split=SimpleNamespace(test=test))


def test_cases_behind_a_checkpoint(tmp_path: Path) -> None:
    split = {"train": ["a"], "val": ["b"], "test": ["c"]}
    best = run_of(tmp_path / "run", split, "loaded x\nseen: d\n")
    assert cases_behind(best) == {"a", "b", "d"}
    assert cases_behind(tmp_path / "mine.pt") == frozenset()


def test_tests_on_patients_that_the_first_weights_saw(caplog: pytest.LogCaptureFixture) -> None:
    patients = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}
    with caplog.at_level(logging.WARNING):
        warn_of_pretrained_tests(data_of(patients, ["c1"]), frozenset({"a1", "b1", "z"}), "r")
        assert not caplog.records
        warn_of_pretrained_tests(data_of(patients, ["a2", "c1"]), frozenset({"a1"}), "r")
    assert "init=r has seen 1 of the 2 test cases, or others of their patients" in caplog.text


def test_the_card_says_so(tmp_path: Path) -> None:
    split = {"train": ["a"], "val": [], "test": ["c", "d"]}
    run_of(tmp_path / "leaks", split, "loaded x\nseen: d\nseen: a\n")
    run_of(tmp_path / "clean", split, "loaded x\nseen: a\n")
    assert "1 test cases had trained" in _pretrained(RunDirectory(tmp_path / "leaks"))
    assert _pretrained(RunDirectory(tmp_path / "clean")) == ""
