"""One change at a time, and what it is worth over seeds."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from medlight.cli.rerun import parse_overrides
from medlight.sweep.ablation import AblationSweep
from medlight.sweep.averages import averages, averages_csv, t_interval
from medlight.sweep.job import DONE, FAILED, Job
from medlight.sweep.ranking import rank_jobs

CHANGES = ["~callbacks.ema", "schedule=constant schedule.warmup=0.2"]


@pytest.mark.slow
def test_every_change_runs_alone_and_again_nothing_does(typed) -> None:
    words = ["sweep=ablation", "seed=0,1", f"sweep.changes={CHANGES}", "logger=none"]
    code, out = typed(*words)
    assert code == 0, out
    assert "6 jobs in outputs/sweeps/s: 6 new" in out
    found = list(csv.DictReader((typed.sweep / "averages.csv").read_text().splitlines()))
    assert [row["change"] for row in found] == ["none", *CHANGES]
    ranked = list(csv.DictReader((typed.sweep / "ranking.csv").read_text().splitlines()))
    score = {(row["change"], row["seed"]): float(row["val_score"]) for row in ranked}
    assert len(score) == 6
    for row in found:
        apart = [score[row["change"], seed] - score["none", seed] for seed in "01"]
        assert math.isnan(float(row["difference"])) == (row["change"] == "none")
        if row["change"] != "none":
            assert float(row["difference"]) == pytest.approx(np.mean(apart))
    configs = {path.parent.name: path.read_text() for path in typed.sweep.glob("*/config.yaml")}
    for row in ranked:
        text = configs[row["job"]]
        assert ("callbacks.ema.EMA" in text) == (row["change"] != CHANGES[0])
        assert ("warmup_constant" in text) == (row["change"] == CHANGES[1])
        assert ("warmup: 0.2" in text) == (row["change"] == CHANGES[1])

    code, out = typed(*words)
    assert code == 0
    assert "6 jobs in outputs/sweeps/s: 6 done" in out


@pytest.mark.slow
def test_a_change_that_changes_nothing_is_an_error(typed) -> None:
    code, out = typed("sweep=ablation", "seed=0", "sweep.changes=['~callbacks.ema','seed=0']")
    assert code == 1
    assert "sweep.changes: seed=0 is the recipe as it stands: leave it out of the list" in out
    assert "Traceback" not in out


def test_the_grid_of_the_rest_is_the_same_for_each() -> None:
    sweeper = AblationSweep(changes=CHANGES, params={"seed": "0,1"})
    found = sweeper.combinations(parse_overrides(["data.fold=0,1"]))
    assert len(found) == 3 * 4
    assert found[:2] == [["seed=0", "data.fold=0"], ["seed=0", "data.fold=1"]]
    assert found[4] == ["~callbacks.ema", "seed=0", "data.fold=0"]
    assert found[8] == ["schedule=constant", "schedule.warmup=0.2", "seed=0", "data.fold=0"]
    assert sweeper.display_overrides(found[8]) == [f"change={CHANGES[1]}", "seed=0", "data.fold=0"]


def job(folder: Path, state: str, score: float | None, **said: str) -> Job:
    one = Job(folder / "-".join(said.values()))
    one.set_overrides([f"{key.replace('__', '.')}={value}" for key, value in said.items()])
    one.update(state=state, score=score)
    return one


def test_differences_are_paired_by_seed_and_fold(tmp_path: Path) -> None:
    base, other = [0.5, 0.7, 0.6], [0.55, 0.72, 0.69]
    jobs = [job(tmp_path, DONE, x, model="a", seed=str(n)) for n, x in enumerate(base)]
    jobs += [job(tmp_path, DONE, x, seed=str(n), model="b") for n, x in enumerate(other)]
    jobs += [
        job(tmp_path, DONE, 0.9, model="c", seed="2"),
        job(tmp_path, FAILED, 0.1, model="c", seed="1"),
        job(tmp_path, DONE, None, model="c", seed="0"),
    ]
    ranked = rank_jobs(jobs, metric="val/dice", mode="max")
    in_order = averages(sorted(ranked, key=lambda each: jobs.index(each.job)))
    assert [each.setting for each in in_order] == [{"model": "a"}, {"model": "b"}, {"model": "c"}]
    wanted = stats.ttest_rel(other, base).confidence_interval(0.95)
    assert t_interval(in_order[1].differences) == pytest.approx((wanted.low, wanted.high))
    assert in_order[2].scores == [0.9]
    assert t_interval(in_order[2].differences) == pytest.approx((math.nan, math.nan), nan_ok=True)
    rows = list(csv.DictReader(averages_csv(in_order).splitlines()))
    assert [row["n"] for row in rows] == ["3", "3", "1"]
    assert float(rows[0]["val_std"]) == pytest.approx(np.std(base, ddof=1))


def test_nothing_repeated_has_no_averages(tmp_path: Path) -> None:
    jobs = [job(tmp_path, DONE, 0.5, model=name, seed="0") for name in "ab"]
    assert averages(rank_jobs(jobs, metric="val/dice", mode="max")) == []
