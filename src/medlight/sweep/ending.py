"""What a sweep leaves behind: the ranking, pictures, a comparison, and every error."""

from collections.abc import Sequence
from pathlib import Path

from rich import get_console
from rich.console import Console

from medlight.io.atomic import aside
from medlight.sweep.averages import averages, averages_csv, averages_table
from medlight.sweep.job import ENDED, Job
from medlight.sweep.names import label
from medlight.sweep.summary import SHOWN, rank, ranking_csv, ranking_table
from medlight.sweep.watch import say

TABLE = "ranking.csv"
AVERAGES = "averages.csv"
NO_SCREEN = 200
"""Columns where nobody looks."""


def finish(folder: Path, jobs: Sequence[Job], *, metric: str, mode: str, compare: bool) -> int:
    """Print and write down what was found; the number of jobs that have not ended well."""
    ranked = rank(jobs, metric=metric, mode=mode)
    if ranked:
        console = get_console()
        console = console if console.is_terminal else Console(width=NO_SCREEN)
        console.print(ranking_table(ranked, metric, room=console.width))
        if ranked[SHOWN:]:
            say(f"and {len(ranked) - SHOWN} more in {folder / TABLE}")
        place = {job: number for number, job in enumerate(jobs)}
        in_turn = sorted(ranked, key=lambda each: place[each.job])
        if averaged := averages(in_turn):
            console.print(averages_table(averaged, metric))
            _is_new(averages_csv(averaged), folder / AVERAGES)
        if _is_new(ranking_csv(ranked), folder / TABLE):
            from medlight.sweep.pictures import draw

            draw(in_turn, folder, metric=metric, mode=mode)
            if compare:
                from medlight.sweep.page import compare_best

                say(compare_best(ranked, folder))
    for status in (job.read() for job in jobs):
        if status.halved and status.state in ENDED:
            size = f"1/{2**status.halved} of the batch, accumulated"
            say(f"{label(status.overrides)} ran with {size}: memory ran out")
    wrong = [(job, status) for job in jobs if (status := job.settled()).state not in ENDED]
    for job, status in wrong:
        why = f"{status.state}: {status.error}" if status.error else status.state
        say(f"{label(status.overrides)} {why} ({job.folder / 'run.log'})")
    say(f"Everything lies in {folder}")
    return len(wrong)


def _is_new(text: str, path: Path) -> bool:
    """Write a table; whether it differs from the one that was there."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    with aside(path) as part:
        part.write_text(text, encoding="utf-8")
    return True
