"""Look a data set over before anybody trains on it."""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from medlight.audit.audit import audit, before_training
from medlight.audit.findings import Finding, counted, list_name
from medlight.audit.repair import repair
from medlight.core.errors import DataError, SplitError
from medlight.core.split import Split
from medlight.data.datamodule import DataModule
from medlight.io.atomic import aside
from medlight.jobs.check_page import write_page

log = logging.getLogger(__name__)

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
SIGNS = {"error": "✖", "warning": "▲", "note": "●"}
WIDE = 100


def check(
    *, data: DataModule, run_dir: Path, fix: bool = False, processes: int | None = None
) -> list[Finding]:
    """Open every file once, and tell what is wrong: a table, check.json and check.html.

    `exclude.txt` lists the cases with errors and `cases/` those of each kind, as `data.exclude=`
    takes them. Raises DataError where
    there are errors, once all is written.

    Args:
        run_dir: where to write; what `fix` mends goes into `repaired/` in it.
        fix: write better copies of what can be mended without guessing.
        processes: that read files at the same time; None: one for each core.
    """
    try:
        index = data.cases
    except (DataError, SplitError) as error:
        finding = Finding("error", "index", str(error), "mend it, then check again")
        _write(run_dir, {"counts": counted([finding]), "findings": [finding.as_dict()]})
        raise
    split, unsplit = _split(data)
    findings, facts = audit(index, split, processes=processes or _cores())
    findings = [*unsplit, *findings]
    bad = dict.fromkeys(case for f in findings if f.level == "error" for case in f.cases)
    report = {
        "name": index.name,
        "cases": len(index),
        "patients": len(set(index.patients)),
        "files": len(facts),
        "fingerprint": index.fingerprint(),
        "counts": counted(findings),
        "findings": [finding.as_dict() for finding in findings],
    }
    if fix:
        repairs = repair(index, facts, findings, run_dir / "repaired")
        report["repairs"] = [asdict(each) for each in repairs]
    _write(run_dir, report)
    for kind in dict.fromkeys(finding.kind for finding in findings):
        _list(run_dir / list_name(kind), [c for f in findings if f.kind == kind for c in f.surplus])
    if bad:
        _list(run_dir / "exclude.txt", list(bad))
    write_page(run_dir / "check.html", index, facts, findings)
    log.info("Everything lies in %s", os.path.relpath(run_dir))
    Console().print(table(findings, f"{index.name}: {len(index)} cases, {len(facts)} files"))
    if fix:
        log.info(
            "%d files were mended into %s; lay them over a copy of the data set",
            len(repairs),
            run_dir / "repaired",
        )
    _refuse(findings, index.name, f"{run_dir / 'check.html'} shows them", str(run_dir))
    return findings


def _cores() -> int:
    """Cores this process may use; macOS does not tell, and then it is all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _split(data: DataModule) -> tuple[Split | None, list[Finding]]:
    try:
        return data.split, []
    except SplitError as error:
        return None, [Finding("error", "split", str(error), "nothing can be trained on it")]


def _write(run_dir: Path, report: dict[str, object]) -> None:
    with aside(run_dir / "check.json") as part:
        part.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")


def _list(path: Path, cases: Sequence[str]) -> None:
    """A list for `data.exclude=`; none where there is nobody to leave out."""
    if cases:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{case}\n" for case in dict.fromkeys(cases)), encoding="utf-8")


def table(findings: Sequence[Finding], title: str) -> Table:
    """One line for each kind: how often, and the first of them."""
    rows: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        rows.setdefault((finding.level, finding.kind), []).append(finding)
    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    made.add_column("level", no_wrap=True)
    made.add_column("found", no_wrap=True)
    made.add_column("cases", justify="right")
    made.add_column("such as", overflow="fold", max_width=WIDE)
    for (level, kind), same in rows.items():
        cases = {case for finding in same for case in finding.cases}
        # Text, not str: names may hold what rich takes for markup.
        made.add_row(
            Text(f"{SIGNS[level]} {level}", STYLES[level]),
            Text(kind),
            Text(str(len(cases)) if cases else ""),
            Text(same[0].message),
        )
    return made


def forget_withdrawn(data: DataModule) -> None:
    """Clean the store of patients who withdrew, and say so."""
    gone = data.forget_withdrawn()
    if gone:
        log.info("Withdrawn: %d prepared copies were removed from the store", gone)


def before(data: DataModule) -> None:
    """The cheap part, before a training: says what is left out, and refuses on errors."""
    out = data.left_out
    if out.cases:
        log.info(out.words())
    forget_withdrawn(data)
    version = data.version
    if version is not None:
        (log.info if version.whole else log.warning)(version.words())
    if not data.check:
        return
    findings = before_training(data.cases, data.split, Path(data.cache))
    for finding in findings:
        if finding.level == "warning":
            log.warning("%s; %s", finding.message, finding.advice)
    _refuse(findings, data.cases.name, "medlight check data=... tells all", None)


def _refuse(findings: Sequence[Finding], name: str, where: str, run_dir: str | None) -> None:
    errors = [finding for finding in findings if finding.level == "error"]
    if not errors:
        return
    first, more = errors[0], len(errors) - 1
    others = f" ({more} more)" if more else ""
    cases = {case for finding in errors for case in finding.cases}
    advice = first.advice
    if run_dir and len(cases) > 1:
        advice = f"train without all of them by data.exclude={run_dir}/exclude.txt"
    raise DataError(f"{name}: {first.message}{others}; {advice}; {where}")
