"""A sweep from the command line to its table, and the same command again."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medlight.cli.rerun import parse_overrides
from medlight.sweep.grid import GridSweep
from medlight.sweep.job import DONE, FAILED, Job, Status


@pytest.mark.slow
def test_a_sweep_runs_what_it_can_and_again_only_what_it_must(typed) -> None:
    words = ["seed=0,1", "optimizer.lr=1e-3,wrong", "logger=none"]
    code, out = typed(*words)
    assert code == 1, "two jobs failed"
    first = typed.statuses()
    assert sorted(each["state"] for each in first.values()) == ["done"] * 2 + ["failed"] * 2
    assert "4 jobs in outputs/sweeps/s: 4 new" in out
    assert out.count("lr=wrong failed: ") == 2, "all errors are shown at the end"
    assert "Traceback" not in out
    for key, status in first.items():
        log = (typed.sweep / key / "run.log").read_text()
        assert ("Traceback" in log) == (status["state"] == "failed")

    rows = list(csv.DictReader((typed.sweep / "ranking.csv").read_text().splitlines()))
    scores = [float(row["val_score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert {row["seed"] for row in rows} == {"0", "1"}
    for row in rows:
        metrics = json.loads((typed.sweep / row["job"] / "metrics.json").read_text())
        assert float(row["test_score"]) == metrics["test/dice"]
        assert (
            float(row["test_score_low"])
            <= float(row["test_score"])
            <= float(row["test_score_high"])
        )

    code, out = typed(*words)
    assert "4 jobs in outputs/sweeps/s: 2 done, 2 failed: retrying" in out
    assert "  seed=0 lr=wrong: failed: retrying" in out, "and which"
    again = typed.statuses()
    assert [again[key] for key in first if first[key]["state"] == "done"] == [
        status for status in first.values() if status["state"] == "done"
    ], "nothing was done twice"
    assert [status["failures"] for status in again.values() if status["state"] == "failed"] == [
        2,
        2,
    ]


def test_what_failed_too_often_is_left_alone() -> None:
    sweeper = GridSweep(max_failures=2)
    states = [Status(state=FAILED, failures=n) for n in (1, 2, 3)] + [Status(state=DONE)]
    assert [sweeper.is_due(each) for each in states] == [True, False, False, False]
    assert sweeper.plan(states) == "1 done, 1 failed: retrying, 2 failed 2 times: giving up"


def varied(sweeper: GridSweep, *words: str) -> dict[str, list[str]]:
    return sweeper.sweep_params(parse_overrides(words))


def test_what_is_typed_beats_the_preset() -> None:
    sweeper = GridSweep(params={"optimizer.lr": "1e-3,1e-2", "seed": "0,1"})
    assert varied(sweeper) == {
        "optimizer.lr": ["optimizer.lr=0.001", "optimizer.lr=0.01"],
        "seed": ["seed=0", "seed=1"],
    }
    assert varied(sweeper, "seed=7", "data.fold=0,1") == {
        "optimizer.lr": ["optimizer.lr=0.001", "optimizer.lr=0.01"],
        "data.fold": ["data.fold=0", "data.fold=1"],
    }


def test_an_interval_is_no_grid() -> None:
    with pytest.raises(ValueError, match="use sweep=optuna"):
        varied(GridSweep(), "optimizer.lr=interval(1e-4,1e-2)")


def test_lists_are_values_not_sweeps() -> None:
    assert varied(GridSweep(), "model.channels=[4,8]") == {}
    assert varied(GridSweep(), "model.channels=[4,8],[8,16]") == {
        "model.channels": ["model.channels=[4,8]", "model.channels=[8,16]"]
    }


@pytest.mark.parametrize("key", ["1593256466e4", "012345678901", "123456789012"])
def test_a_job_runs_in_its_own_folder_even_if_its_key_reads_as_a_number(
    key: str, tmp_path: Path
) -> None:
    launched: list[list[str]] = []
    sweep: Any = SimpleNamespace(
        folder=tmp_path,
        cfg=SimpleNamespace(metric="val/dice"),
        job=lambda words: Job(tmp_path / key),
        save_jobs=lambda jobs: None,
        launch=lambda words, task: launched.extend(words),
    )
    GridSweep().run(sweep, parse_overrides(["seed=0"]))
    (subdir,) = [o for o in parse_overrides(launched[0]) if "subdir" in o.key_or_group]
    assert subdir.value() == key
