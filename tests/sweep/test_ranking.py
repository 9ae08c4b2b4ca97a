"""Ranks and intervals, checked by hand."""

import io
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from medlight.callbacks.results import write_scores
from medlight.core.outcome import Metric, OutcomeSpec
from medlight.metrics.bootstrap import bootstrap_interval
from medlight.sweep.job import DONE, FAILED, PRUNED, Job
from medlight.sweep.ranking import rank_jobs, ranking_table
from medlight.tasks.outcome import Outcome


def made(folder: Path, name: str, state: str, score: float | None, dice: list[float]) -> Job:
    job = Job(folder / name)
    job.set_overrides([f"name={name}"])
    job.update(state=state, score=score)
    if dice:
        rows = [
            {"case": f"c{n}", "patient": f"p{n // 2}", "dice": value}
            for n, value in enumerate(dice)
        ]
        outcome = Outcome(OutcomeSpec("any", (), {"dice": Metric("higher", "", "Dice")}, ""))
        write_scores(
            job.folder, outcome.spec, rows, outcome.summarise(rows), outcome.intervals(rows)
        )
    return job


@pytest.mark.parametrize(("mode", "order"), [("max", "bacdp"), ("min", "cabdp")])
def test_order(tmp_path: Path, mode: str, order: str) -> None:
    jobs = [
        made(tmp_path, "a", DONE, 0.5, [0.1, 0.2, 0.3, 0.4]),
        made(tmp_path, "p", PRUNED, 0.99, []),
        made(tmp_path, "b", DONE, 0.7, [0.1, 0.2]),
        made(tmp_path, "f", FAILED, 0.9, []),
        made(tmp_path, "c", DONE, 0.3, []),
        made(tmp_path, "d", DONE, None, []),
    ]
    ranked = rank_jobs(jobs, metric="val/dice", mode=mode)
    assert "".join(each.job.key for each in ranked) == order


def test_the_interval_is_by_patient(tmp_path: Path) -> None:
    dice = [0.1, 0.2, 0.3, 0.4, 0.9, 0.8]
    [found] = rank_jobs([made(tmp_path, "a", DONE, 0.5, dice)], metric="val/dice", mode="max")
    wanted = bootstrap_interval(dice, ["p0", "p0", "p1", "p1", "p2", "p2"])
    assert (found.low, found.high) == (wanted.low, wanted.high)
    assert math.isclose(found.test, 0.45)


def test_jobs_without_scores_are_not_ranked(tmp_path: Path) -> None:
    """They had places, and the first was best, in bold."""
    jobs = [made(tmp_path, name, DONE, None, [0.1, 0.2]) for name in "ab"]
    console = Console(width=120, record=True, file=io.StringIO())
    table = ranking_table(rank_jobs(jobs, metric="val/dice", mode="max"), "val/dice", width=120)
    console.print(table)
    text = console.export_text(styles=True)
    assert "Not ranked: no job has a val/dice" in text
    assert not re.search(r"^\W*[12]\W", text, re.MULTILINE), text
    assert "\x1b[1m" not in text.partition("\u2500")[2]
