"""The ledger: runs on record below experiments/, and the tables that are made from them."""

import csv
import gzip
import io
import json
import logging
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from medlight.compare.case_scores import ALL_CLASSES
from medlight.compare.comparison import Comparison, compare
from medlight.compare.formatting import format_interval, format_number
from medlight.compare.groups import group_runs
from medlight.compare.runs import PartialRunError, Run, read_run
from medlight.core.errors import ConfigError, DataError
from medlight.io.atomic import atomic_path
from medlight.io.csv_cells import rows_text
from medlight.runs.directory import (
    CASES_FILE,
    COMPRESSED_CASES_FILE,
    CONFIG_FILE,
    CURVES_FILE,
    METRICS_FILE,
    PROVENANCE_FILE,
)
from medlight.runs.find import is_run
from medlight.runs.renames import rename_scores

log = logging.getLogger(__name__)

RECORDED_FILES = (CONFIG_FILE, PROVENANCE_FILE, METRICS_FILE, CURVES_FILE)
BEGIN, END = "<!-- medlight compare table -->", "<!-- end of table -->"
COMPRESS_ABOVE = 200_000
"""Bytes of cases.csv above which it is compressed."""
PROBABILITY_DIGITS = 6
"""Significant digits of a probability on record: no score changes in the fifth decimal."""
SUMMARIES = ("f1",)
"""What metrics.json holds that cannot be had from single cases."""


def record_run(run_dir: Path, experiments: Path) -> Path:
    """File a run as `<experiments>/<name>/<date>_<commit>`, or `..._2` for the next of that commit;
    returns that folder.

    DataError where the run is not whole, ConfigError where it is on record or nobody knows by
    which commit it was made.
    """
    run = read_run(run_dir)
    commit = run.get("code.commit")
    if not commit or run.get("code.dirty"):
        raise ConfigError(
            f"{run_dir}: made from changes that no commit holds, so nobody could repeat it; "
            f"commit, and run it again"
        )
    started = str(run.get("times.started"))[:10]
    folder = experiments / _recipe_name(run) / f"{started}_{str(commit)[:8]}"
    alike = [folder, *sorted(folder.parent.glob(f"{folder.name}_*"))] if folder.exists() else []
    for each in alike:
        if (each / PROVENANCE_FILE).read_bytes() == (run_dir / PROVENANCE_FILE).read_bytes():
            raise ConfigError(f"{each} is on record already")
    if alike:
        folder = folder.with_name(f"{folder.name}_{len(alike) + 1}")
    with atomic_path(folder) as part:
        part.mkdir()
        for name in RECORDED_FILES:
            if (run_dir / name).exists():
                shutil.copyfile(run_dir / name, part / name)
        text = _round_probabilities((run_dir / CASES_FILE).read_text(encoding="utf-8"))
        if len(text) > COMPRESS_ABOVE:
            (part / COMPRESSED_CASES_FILE).write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            (part / CASES_FILE).write_text(text, encoding="utf-8")
    readme = folder.parent / "README.md"
    if not readme.exists():
        _write(readme, f"# {folder.parent.name}\n\n{BEGIN}\n{END}\n")
    return folder


def _recipe_name(run: Run) -> str:
    """The name of a run, the date and the commit are what its files say: parts of a path here."""
    name = str(run.config.get("name", "run"))
    for what, text, pattern in (
        ("name", name, r"[\w][\w.+=-]*"),
        ("times.started", str(run.get("times.started")), r"\d{4}-\d\d-\d\d.*"),
        ("code.commit", str(run.get("code.commit")), r"[0-9a-f]{7,64}"),
    ):
        if not re.fullmatch(pattern, text):
            raise ConfigError(
                f"{run.path}: {what} is {text}, which cannot name a folder on record; use letters, "
                f"digits and ._- only: medlight ... name=<a name>"
            )
    return name


def update_tables(experiments: Path, readme: Path) -> list[Path]:
    """Bring the tables of the recipes' READMEs and of the front page up to date; which changed."""
    texts = render_tables(experiments, readme)
    changed = [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    for path in changed:
        _write(path, texts[path])
    return changed


def render_tables(experiments: Path, readme: Path) -> dict[Path, str]:
    """Every README with a marked place, and what it should say."""
    found: dict[Path, str] = {}
    latest: dict[str, Comparison] = {}
    for page in sorted(experiments.glob("*/README.md")):
        runs = []
        for path in filter(is_run, sorted(page.parent.iterdir())):
            try:
                runs.append(read_run(path))
            except PartialRunError as error:
                log.warning("left out: %s", error)
        if not runs:
            continue
        each = [compare(group_runs([run])) for run in runs]
        found[page] = _replace_table(page, _recipe(each))
        latest[page.parent.name] = max(each, key=lambda c: _started(c.reference.runs[0]))
    if readme.exists():
        found[readme] = _replace_table(readme, _front(latest, experiments.name))
    return found


def _recipe(runs: list[Comparison]) -> Iterator[str]:
    """One line a run: the main metric of each class and of all, with 95 % intervals."""
    classes = runs[-1].classes(runs[-1].metric)
    extra = [name for name in SUMMARIES if _summary(runs[-1].reference.runs[0], name) is not None]
    areas = [name for name in runs[-1].metrics if runs[-1].about(name).test == "delong"]
    heads = [runs[-1].main.long_title if name == ALL_CLASSES else name for name in classes]
    heads += [f"macro {runs[-1].about(name).title}" for name in (*extra, *areas)]
    yield from _head("run", *heads, "training", "test", "device")
    for found in sorted(runs, key=lambda c: _started(c.reference.runs[0])):
        run, scores = found.reference.runs[0], found.scores[found.reference.name]
        keys = [(found.metric, name) for name in classes]
        cells = [format_interval(scores[k], found.main) if k in scores else "–" for k in keys]
        cells += [
            format_number(_summary(run, name) or math.nan, found.about(name)) for name in extra
        ]
        cells += [format_interval(scores[name, ALL_CLASSES], found.about(name)) for name in areas]
        took = [_clock(run.get(f"times.{part}_seconds")) for part in ("fit", "test")]
        yield _line(run.path.name, *cells, *took, _device(run))


def _front(latest: Mapping[str, Comparison], folder: str) -> Iterator[str]:
    yield from _head("experiment", "data", "result (95 % interval)", "training", "device")
    for name, found in latest.items():
        run = found.reference.runs[0]
        key = (found.metric, found.classes(found.metric)[-1])
        cases = sum(int(run.get(f"split.{side}") or 0) for side in ("train", "val", "test"))
        yield _line(
            f"[`{name}`]({folder}/{name}/README.md)",
            f"{run.get('data.name')}, {cases:,} cases, fold {run.fold}",
            f"{found.main.long_title} "
            f"{format_interval(found.scores[found.reference.name][key], found.main)}",
            _clock(run.get("times.fit_seconds")),
            _device(run),
        )


def _head(*names: str) -> Iterator[str]:
    yield _line(*names)
    yield "|" + "---|" * len(names)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _started(run: Run) -> datetime:
    return datetime.fromisoformat(str(run.get("times.started")))


def _summary(run: Run, metric: str) -> float | None:
    value: Any = rename_scores(json.loads((run.path / METRICS_FILE).read_text())).get(
        f"test/{metric}"
    )
    return value if isinstance(value, float) else None


def _clock(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _device(run: Run) -> str:
    threads = run.get("hardware.threads")
    on_cpu = run.get("hardware.accelerator") == "cpu"
    name = str(run.get("hardware.device"))
    many = f"{threads} thread{'s' * (threads != 1)}" if threads else ""
    return f"{name}, {many}" if on_cpu and many else name


def _replace_table(page: Path, lines: Iterator[str]) -> str:
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(f"{page}: no place for its table; add the lines {BEGIN} and {END}")
    return "\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"])


def _round_probabilities(text: str) -> str:
    """cases.csv with probabilities of `PROBABILITY_DIGITS` digits; the rest as it is."""
    rows = list(csv.reader(io.StringIO(text, newline="")))
    columns = [i for i, name in enumerate(rows[0]) if name.startswith("p_")]
    for row in rows[1:]:
        for i in columns:
            row[i] = f"{float(row[i]):.{PROBABILITY_DIGITS}g}"
    return rows_text(rows)


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")
