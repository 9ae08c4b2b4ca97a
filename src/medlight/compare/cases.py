"""The test cases of a finished run, whichever task wrote them."""

import json
from pathlib import Path

from medlight.compare.case_scores import CaseScores, case_scores
from medlight.core.errors import DataError
from medlight.core.outcome import OutcomeSpec
from medlight.runs.case_table import CaseTable
from medlight.runs.directory import OUTCOME_FILE, RunDirectory
from medlight.tasks.outcome_of_columns import outcome_of_columns

STAGE = "test"


def read_case_scores(folder: Path) -> CaseScores:
    """Read the test cases of a run directory.

    Raises:
        DataError: nothing was tested, or the table cannot be used; it names the file.
    """
    lines = RunDirectory(folder).cases()
    if "stage" not in lines.columns:
        raise DataError(f"{lines.path}: no column stage; another version wrote it")
    spec = read_outcome(folder, lines)
    tests = lines.of_stage(STAGE)
    if not len(tests):
        raise DataError(f"{lines.path}: no line of stage {STAGE!r}")
    return case_scores(tests.path, tests.columns, spec)


def read_outcome(folder: Path, lines: CaseTable) -> OutcomeSpec:
    """What the rows of a run are; the columns tell it of runs from before outcome.json."""
    path = Path(folder) / OUTCOME_FILE
    try:
        if not path.is_file():
            return outcome_of_columns(lines.columns)
        return OutcomeSpec.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"{lines.path}: {error}; another version wrote it") from error
