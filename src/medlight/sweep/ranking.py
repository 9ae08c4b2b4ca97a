"""What a sweep found: jobs ranked by their validation score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from medlight.report.console_table import console_table
from medlight.runs.directory import RunDirectory
from medlight.runs.files import csv_text
from medlight.sweep.job import DONE, ENDED, PRUNED, Job, Status
from medlight.sweep.job_names import override_values, setting_columns
from medlight.sweep.progress import format_duration

MAX_ROWS, NUMBERS_WIDTH = 40, 60
WIDE_SCREEN = 100
"""Columns of the screen from which on the job's folder is shown."""
DASH = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class RankedJob:
    """One job of the ranking.

    Attributes:
        score: best validation score; nan where there is none.
        test: the same metric on the test cases; `low` and `high` its 95 % interval by patient.
    """

    job: Job
    status: Status
    score: float
    test: float
    low: float
    high: float


def rank_jobs(jobs: Sequence[Job], *, metric: str, mode: str) -> list[RankedJob]:
    """Best first; then those that were pruned; what has not ended is left out."""
    entries = [ranked_job(job, metric) for job in jobs if job.read().state in ENDED]
    sign = -1 if mode == "max" else 1

    def order(each: RankedJob) -> tuple[bool, bool, float]:
        nothing = math.isnan(each.score)
        return each.status.state == PRUNED, nothing, 0 if nothing else sign * each.score

    return sorted(entries, key=order)


def ranked_job(job: Job, metric: str) -> RankedJob:
    """The status of a job, and its test score with its interval as metrics.json has them."""
    status = job.read()
    scores = RunDirectory(job.folder).metrics() if status.state == DONE else {}
    name, slash, label = metric.partition("/")[2].partition("/")
    found = [scores.get(f"test/{name}{end}{slash}{label}") for end in ("", "_low", "_high")]
    test, low, high = (math.nan if value is None else float(value) for value in found)
    score = math.nan if status.score is None else status.score
    return RankedJob(job, status, score, test, low, high)


def ranking_csv(entries: Sequence[RankedJob]) -> str:
    """Give what the table shows, in full."""
    settings = [override_values(each.status.overrides) for each in entries]
    keys = list(dict.fromkeys(key for setting in settings for key in setting))
    scores = ["val_score", "test_score", "test_score_low", "test_score_high"]
    rows = [
        [each.job.key, *(setting.get(key, "") for key in keys), each.status.state,
         each.score, each.test, each.low, each.high, each.status.epoch]
        for each, setting in zip(entries, settings, strict=True)
    ]  # fmt: skip
    return csv_text(["job", *keys, "state", *scores, "epochs"], rows)


def ranking_table(entries: Sequence[RankedJob], metric: str, *, width: int) -> Table:
    entries = entries[:MAX_ROWS]
    names, settings = setting_columns(
        [override_values(each.status.overrides) for each in entries], room=width - NUMBERS_WIDTH
    )
    test = f"test/{metric.partition('/')[2]}"
    last = ["job"] if width >= WIDE_SCREEN else []
    rows, styles = [], []
    for place, each in enumerate(entries, 1):
        tested = DASH if math.isnan(each.test) else f"{each.test:.4f}"
        if not math.isnan(each.low):
            tested += f" ({each.low:z.3f}{DASH}{each.high:z.3f})"
        rows.append(
            [
                "" if math.isnan(each.score) else str(place),
                *settings[place - 1],
                DASH if math.isnan(each.score) else f"{each.score:.4f}",
                "pruned" if each.status.state == PRUNED else tested,
                str(each.status.epoch),
                format_duration(each.status.seconds),
                *(each.job.key for _ in last),
            ]
        )
        pruned = each.status.state == PRUNED
        best = place == 1 and not math.isnan(each.score)
        styles.append("bold" if best else "dim" if pruned else "")
    ranked = any(not math.isnan(each.score) for each in entries)
    return console_table(
        f"Ranked by {metric}" if ranked else f"Not ranked: no job has a {metric}",
        ["", *names, metric, f"{test} (95 % interval)", "epochs", "time", *last],
        rows,
        width=width,
        text_columns=range(1, len(names) + 1),
        styles=styles,
    )
