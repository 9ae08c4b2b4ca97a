"""Report a finished sweep: ranking, plots, comparison and errors."""

from collections.abc import Sequence
from pathlib import Path

from rich import get_console
from rich.console import Console

from medlight.cli.compare import case_file_lookup
from medlight.core.errors import MedlightError
from medlight.runs.directory import LOG_FILE
from medlight.runs.files import write_text
from medlight.sweep.averages import averages, averages_csv, averages_table
from medlight.sweep.job import DONE, ENDED, Job
from medlight.sweep.job_names import job_label
from medlight.sweep.progress import print_line
from medlight.sweep.ranking import MAX_ROWS, RankedJob, rank_jobs, ranking_csv, ranking_table

RANKING_CSV = "ranking.csv"
AVERAGES_CSV = "averages.csv"
DEFAULT_WIDTH = 200
"""Columns if the output is not a terminal."""


def report_sweep(
    folder: Path, jobs: Sequence[Job], *, metric: str, mode: str, compare: bool
) -> int:
    """Print and write the results; return the number of jobs that did not finish."""
    ranked = rank_jobs(jobs, metric=metric, mode=mode)
    if ranked:
        console = get_console()
        console = console if console.is_terminal else Console(width=DEFAULT_WIDTH)
        console.print(ranking_table(ranked, metric, width=console.width))
        if ranked[MAX_ROWS:]:
            print_line(f"and {len(ranked) - MAX_ROWS} more in {folder / RANKING_CSV}")
        place = {job: number for number, job in enumerate(jobs)}
        in_turn = sorted(ranked, key=lambda each: place[each.job])
        if averaged := averages(in_turn):
            console.print(averages_table(averaged, metric, width=console.width))
            _write_if_changed(averages_csv(averaged), folder / AVERAGES_CSV)
        if _write_if_changed(ranking_csv(ranked), folder / RANKING_CSV):
            from medlight.sweep.plots import plot_sweep

            plot_sweep(in_turn, folder, metric=metric, mode=mode)
            if compare:
                print_line(compare_best(ranked, folder))
    for status in (job.read() for job in jobs):
        if status.batch_halvings and status.state in ENDED:
            size = f"1/{2**status.batch_halvings} of the batch, accumulated"
            print_line(f"{job_label(status.overrides)} ran with {size}: it ran out of memory")
    wrong = [(job, status) for job in jobs if (status := job.current_status()).state not in ENDED]
    for job, status in wrong:
        why = f"{status.state}: {status.error}" if status.error else status.state
        print_line(f"{job_label(status.overrides)} {why} ({job.folder / LOG_FILE})")
    print_line(f"Results saved to {folder}")
    return len(wrong)


def _write_if_changed(text: str, path: Path) -> bool:
    """Write a table; return whether it differs from the one that was there."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


MAX_RUNS = 20
"""Runs on the page: the best by validation, and no more than a reader can take in."""


def compare_best(ranked: Sequence[RankedJob], folder: Path) -> str:
    """Write `compare/` below the sweep; return where the page is, or why there is none.

    The reference is the run that validated best.
    """
    from medlight.compare.comparison import compare
    from medlight.compare.files import save
    from medlight.compare.groups import group_runs
    from medlight.compare.page import PAGE, save_page
    from medlight.compare.runs import read_runs

    best = [each.job.folder for each in ranked if each.status.state == DONE][:MAX_RUNS]
    if len(best) < 2:
        return "no comparison: fewer than two runs finished"
    output = folder / "compare"
    try:
        runs, skipped = read_runs(best)
        comparison = compare(group_runs(runs), reference=0, skipped=skipped)
        save(comparison, output)
        save_page(comparison, output / PAGE, case_file_lookup(comparison))
    except MedlightError as error:
        return f"no comparison: {error}"
    return f"Compared on the test cases: {output / PAGE}"
