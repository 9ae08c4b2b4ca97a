"""The comparison of a sweep's best runs, as `medlight compare` makes it."""

from collections.abc import Sequence
from pathlib import Path

from medlight.cli.compare import files_of
from medlight.core.errors import MedlightError
from medlight.sweep.job import DONE
from medlight.sweep.summary import Entry

MOST = 20
"""Runs on the page: the best by validation, and no more than a reader can take in."""


def compare_best(ranked: Sequence[Entry], folder: Path) -> str:
    """Write `compare/` below the sweep; where the page lies, or why there is none.

    The reference is the run that validated best.
    """
    from medlight.compare.comparison import compare
    from medlight.compare.files import save
    from medlight.compare.groups import grouped
    from medlight.compare.page import PAGE, save_page
    from medlight.compare.runs import read_runs

    best = [each.job.folder for each in ranked if each.status.state == DONE][:MOST]
    if len(best) < 2:
        return "no comparison: fewer than two runs went to their end"
    place = folder / "compare"
    try:
        runs, skipped = read_runs(best)
        found = compare(grouped(runs), reference=0, skipped=skipped)
        save(found, place)
        save_page(found, place / PAGE, files_of(found))
    except MedlightError as error:
        return f"no comparison: {error}"
    return f"Compared on the test cases: {place / PAGE}"
