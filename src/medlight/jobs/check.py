"""Look a data set over before anybody trains on it."""

import json
import logging
import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from medlight.audit.audit import audit, pre_training_audit
from medlight.audit.issues import Issue, count_by_level, exclude_list_path, sort_issues
from medlight.audit.patients import patient_name_issues
from medlight.audit.repair import repair
from medlight.core.errors import DataError, SplitError
from medlight.core.split import Split
from medlight.data.datamodule import DataModule
from medlight.jobs.check_page import write_check_page
from medlight.jobs.verb import verb
from medlight.report.console_table import console_table
from medlight.runs.directory import CHECK_FILE
from medlight.runs.files import write_text

log = logging.getLogger(__name__)

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
SIGNS = {"error": "✖", "warning": "▲", "note": "●"}
MAX_WIDTH = 120


@verb("data", "run_dir")
def check(
    *, data: DataModule, run_dir: Path, fix: bool = False, num_processes: int | None = None
) -> list[Issue]:
    """Open every file once, and tell what is wrong: a table, check.json and check.html.

    `exclude.txt` lists the cases with errors and `cases/` those of each kind, as `data.exclude=`
    takes them.

    Args:
        run_dir: where to write; what `fix` repairs goes into `repaired/` in it.
        fix: write repaired copies of what can be fixed without guessing.
        num_processes: that read files at the same time; None: one for each core.

    Raises:
        DataError: there are errors; raised once everything is written.
    """
    try:
        index = data.cases
    except (DataError, SplitError) as error:
        issue = Issue("error", "index", str(error), "fix it, then check again")
        _write(run_dir, {"counts": count_by_level([issue]), "issues": [issue.as_dict()]})
        raise
    say_exclusions(data)
    split, unsplit = _split(data)
    issues, file_infos = audit(
        index,
        split,
        full_index=data.full_index,
        ignore=data.ignored_label,
        num_processes=num_processes or _cores(),
    )
    issues = sort_issues([*unsplit, *issues, *patient_name_issues(index, data.patient)])
    bad = dict.fromkeys(case for f in issues if f.level == "error" for case in f.cases)
    report = {
        "name": index.name,
        "cases": len(index),
        "patients": len(set(index.patients)),
        "files": len(file_infos),
        "fingerprint": index.fingerprint(),
        "counts": count_by_level(issues),
        "issues": [issue.as_dict() for issue in issues],
    }
    if fix:
        repairs = repair(index, file_infos, issues, run_dir / "repaired")
        report["repairs"] = [asdict(each) for each in repairs]
    _write(run_dir, report)
    for kind in dict.fromkeys(issue.kind for issue in issues):
        _write_case_list(
            run_dir / exclude_list_path(kind),
            [c for f in issues if f.kind == kind for c in f.to_exclude],
        )
    if bad:
        _write_case_list(run_dir / "exclude.txt", list(bad))
    write_check_page(run_dir / "check.html", index, file_infos, issues)
    log.info("Results saved to %s", os.path.relpath(run_dir))
    title = f"{index.name}: {len(index)} cases, {len(file_infos)} files"
    console = Console()
    console.print(issue_table(issues, title, console.width))
    if fix:
        log.info(
            "%d repaired files are in %s; copy them over a copy of the data set",
            len(repairs),
            run_dir / "repaired",
        )
    _raise_on_errors(issues, index.name, f"{run_dir / 'check.html'} shows them", str(run_dir))
    return issues


def _cores() -> int:
    """Cores this process may use; all of them on macOS, which does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _split(data: DataModule) -> tuple[Split | None, list[Issue]]:
    try:
        return data.split, []
    except SplitError as error:
        return None, [Issue("error", "split", str(error), "nothing can be trained on it")]


def _write(run_dir: Path, report: dict[str, object]) -> None:
    write_text(run_dir / CHECK_FILE, json.dumps(report, indent=1, ensure_ascii=False))


def _write_case_list(path: Path, cases: Sequence[str]) -> None:
    """A list for `data.exclude=`; no file if there is no case to leave out."""
    if cases:
        write_text(path, "".join(f"{case}\n" for case in dict.fromkeys(cases)))


def issue_table(issues: Sequence[Issue], title: str, width: int) -> Table:
    """One row for each kind of issue: how often, and the first of them."""
    rows: dict[tuple[str, str], list[Issue]] = {}
    for issue in issues:
        rows.setdefault((issue.level, issue.kind), []).append(issue)
    cells: list[tuple[str | Text, ...]] = []
    for (level, kind), same in rows.items():
        cases = {case for issue in same for case in issue.cases}
        sign = Text(f"{SIGNS[level]}\N{NO-BREAK SPACE}{level}", STYLES[level])
        cells.append((sign, kind, str(len(cases)) if cases else "", same[0].message))
    return console_table(
        title,
        ["level", "found", "cases", "such as"],
        cells,
        width=min(width, MAX_WIDTH),
        text_columns=(0, 1, 3),
    )


def say_exclusions(data: DataModule) -> None:
    """Say what is left out, and of withdrawal lists what names nobody."""
    out = data.exclusions
    if out.cases:
        log.info(out.summary())
    for line in out.unmatched:
        log.warning(line)


def delete_withdrawn(data: DataModule) -> None:
    """Say what is left out, and clean the store of patients who withdrew."""
    say_exclusions(data)
    gone = data.delete_withdrawn()
    if gone:
        log.info("Withdrawn: %d prepared copies were removed from the store", gone)


def check_before_training(data: DataModule) -> None:
    """The cheap part, before a training: says what is left out, and refuses on errors."""
    delete_withdrawn(data)
    version = data.version
    if version is not None:
        (log.info if version.verified else log.warning)(version.summary())
    if not data.check:
        return
    issues = pre_training_audit(data.cases, data.split, Path(data.cache), data.full_index)
    issues += patient_name_issues(data.cases, data.patient)
    for issue in issues:
        if issue.level == "warning":
            log.warning("%s; %s", issue.message, issue.advice)
    _raise_on_errors(issues, data.cases.name, "medlight check data=... lists all", None)


def _raise_on_errors(issues: Sequence[Issue], name: str, where: str, run_dir: str | None) -> None:
    errors = [issue for issue in issues if issue.level == "error"]
    if not errors:
        return
    first, more = errors[0], len(errors) - 1
    others = f" ({more} more)" if more else ""
    cases = {case for issue in errors for case in issue.cases}
    advice = first.advice
    if run_dir and len(cases) > 1:
        advice = (
            f"train without all of them by data.exclude={shlex.quote(f'{run_dir}/exclude.txt')}"
        )
    raise DataError(f"{name}: {first.message}{others}; {advice}; {where}")
