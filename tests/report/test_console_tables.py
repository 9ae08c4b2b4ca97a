"""A law: no table of the console is wider than the console, and none cuts a word."""

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rich
from rich.console import Console
from rich.table import Table

from medlight.audit.issues import Issue
from medlight.callbacks.selective import write_review_order
from medlight.jobs.check import issue_table
from medlight.jobs.evaluate import _run_table
from medlight.jobs.plan import PlannedSetting
from medlight.jobs.plan import _table as plan_table
from medlight.jobs.profile import timing_table
from medlight.jobs.reproduce import MetricDifference, difference_table
from medlight.metrics.bootstrap import Interval
from medlight.metrics.names import METRICS
from medlight.report.console_table import ELLIPSIS, console_table
from medlight.report.score_table import _format_bound, format_score, score_table
from medlight.sweep.averages import AveragedSetting, averages_table
from medlight.sweep.job import DONE, Job, Status
from medlight.sweep.progress import SweepProgress
from medlight.sweep.ranking import RankedJob, ranking_table
from medlight.tasks.segmentation_outcome import SegmentationOutcome

CASE = "imagesTr/hippocampus_subject_with_a_long_name_0123/left-hemisphere"
SETTINGS = {
    "optimizer.learning_rate": "0.0003", "model.channels": "[16,32,64,128]",
    "loss._target_": "medlight.losses.dice_cross_entropy.DiceCrossEntropy", "seed": "2",
}  # fmt: skip
OVERRIDES = [f"{key}={value}" for key, value in SETTINGS.items()]
CLASSES = ("left_ventricular_myocardium", "cavity", "right_ventricle")


def scores() -> Table:
    names = [*CLASSES, ""]
    values: dict[str, float] = {
        f"{metric}/{name}".rstrip("/"): 0.87654 if metric != "hd95_mm" else 123.456
        for metric in ("dice", "hd95_mm", "nsd", "detected", "volume_ml_error", "assd_mm")
        for name in names
    }
    counts = {"cases": 42, "not_scored": 3, "false_negatives": 2, "false_positives": 11}
    values |= {f"{count}/{name}": n for count, n in counts.items() for name in CLASSES}
    intervals = {name: Interval(value, 0.8, 0.9, 42) for name, value in values.items()}
    return score_table(outcome().spec, values, intervals, width=width())


def outcome() -> SegmentationOutcome:
    return SegmentationOutcome(CLASSES, policy="both empty: left out", labels=("", *CLASSES))


def width() -> int:
    return rich.get_console().width


def ranking() -> Table:
    status = Status(state=DONE, overrides=OVERRIDES, score=0.91, epoch=120)
    job = RankedJob(Job(Path("0123456789abcdef")), status, 0.9134, 0.9011, 0.8855, 0.9222)
    return ranking_table([job] * 3, "val/balanced_accuracy", width=width())


def averages() -> Table:
    setting = AveragedSetting(SETTINGS, [0.91, 0.92], [0.90, 0.91], [0.01, 0.02])
    return averages_table([setting] * 2, "val/balanced_accuracy", width=width())


def progress() -> Table:
    status = Status(state="running", overrides=OVERRIDES, epoch=3, epochs=120, score=0.9)
    jobs = {Job(Path(str(i))): status for i in range(3)}
    return SweepProgress(lambda: [], metric="val/balanced_accuracy", total=30).table(jobs)


def timing() -> Table:
    parts = {"read": 1.0, "augment": 20.0, "forward": 300.0}
    timer: Any = SimpleNamespace(steps=20, seconds_per_step=lambda: parts)
    data: Any = SimpleNamespace(
        epoch_samples=208, batch_size=8, split=SimpleNamespace(val=range(10), train=range(208))
    )
    return timing_table(timer, parts, data)


def differences() -> Table:
    found = [
        MetricDifference(f"test/{metric}/{name}", 0.8123456, 0.8234567, 1e-3)
        for metric in list(METRICS)[:4]
        for name in CLASSES
    ]
    return difference_table(found, SimpleNamespace(seeds=[1, 2, 3]))  # type: ignore[arg-type]


def issues() -> Table:
    found = [
        Issue("error", kind, f"{CASE}: image and mask differ in shape", "fix it", (CASE,))
        for kind in ("geometry", "near-duplicates", "mask-of-another-case")
    ]
    return issue_table(found, "Hippocampus: 260 cases, 520 files", width())


def plan() -> Table:
    reason = "the median of the spacings of all training cases, " * 2 + CASE
    settings = [
        PlannedSetting("experiment", "transforms.volume.spacing_mm", [1.25, 0.78, 0.78], reason),
        PlannedSetting("model", "channels", [32, 64, 128, 256, 320, 320], reason),
    ]
    return plan_table(settings, width())


def folds() -> Table:
    metrics = ("dice", "hd95_mm", "nsd", "assd_mm")
    scores = {f"2026-11-22_09-01-46_{i}_{CASE}": dict.fromkeys(metrics, 0.5) for i in "ab"}
    return _run_table(scores, outcome())


def many_numbers() -> Table:
    """More than fits: the text gives way."""
    return console_table("", ["case", *(f"n{i}" for i in range(8))], [[CASE, *["0.1234"] * 8]],
                         width=width())  # fmt: skip


TABLES = (scores, ranking, averages, timing, differences, issues, plan, folds, many_numbers)


def rendered(table: Table, console: Console) -> str:
    console.print(table, highlight=False)
    return console.file.getvalue()  # type: ignore[attr-defined]


def words(text: str) -> set[str]:
    return set(re.split(r"[\s/._=,:\-\[\]]+", text))


@pytest.fixture(params=[80, 120])
def console(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Console:
    screen = Console(width=request.param, file=io.StringIO())
    for module in ("jobs.profile", "jobs.reproduce", "jobs.evaluate", "callbacks.selective",
                   "sweep.progress"):  # fmt: skip
        monkeypatch.setattr(f"medlight.{module}.get_console", lambda: screen)
    monkeypatch.setattr(rich, "get_console", lambda: screen)
    return screen


@pytest.mark.parametrize("made", TABLES, ids=lambda made: made.__name__)
def test_tables_fit_and_keep_words_whole(made: Any, console: Console) -> None:
    table = made()
    text = rendered(table, console)
    assert max(map(len, text.splitlines())) <= console.width
    cells = [str(cell) for column in table.columns for cell in (column.header, *column.cells)]
    wanted = set().union(*map(words, cells))
    assert wanted <= words(text)
    assert (ELLIPSIS in text) <= (console.width == 80 and made in (averages, many_numbers))


def test_long_names_stay_whole(console: Console) -> None:
    """What was given, not only what the table made of it."""
    values = [value for value in SETTINGS.values() if "." not in value]
    for made, given in ((ranking, values), (issues, [CASE]), (folds, [CASE]), (averages, values),
                        (plan, [CASE]), (scores, CLASSES)):  # fmt: skip
        console.file = io.StringIO()
        text = rendered(made(), console)
        assert set().union(*map(words, given)) <= words(text), made.__name__


def test_a_job_of_the_live_table_takes_one_line(console: Console) -> None:
    lines = rendered(progress(), console).splitlines()
    assert max(map(len, lines)) <= console.width
    assert sum("running" in line for line in lines) == 3
    assert sum(line.strip().startswith("l") for line in lines) == 3


def test_look_first_names_cases_whole(console: Console, tmp_path: Path) -> None:
    rows: list[Any] = [
        {
            "case": CASE + str(i),
            "patient": str(i),
            "class": "a",
            "dice": 0.5,
            "uncertainty": 0.1 * i,
        }
        for i in range(3)
    ]
    write_review_order(tmp_path, outcome(), rows, show=2)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert words(CASE + "2") <= words(text)
    assert max(map(len, text.splitlines())) <= console.width


def test_no_score_is_minus_zero() -> None:
    """Means of distances have ends a rounding error below 0."""
    assert (format_score(-1e-9), _format_bound(-1e-9)) == ("0.0000", "0.000")
