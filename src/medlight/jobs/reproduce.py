"""Run a run again, and say whether it came out the same."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from rich import get_console
from rich.table import Table

from medlight.core.errors import ConfigError, DataNotFoundError, MedlightError
from medlight.data.datamodule import DataModule
from medlight.jobs.fit import fit
from medlight.jobs.seed_variability import SeedVariability, seed_variability
from medlight.jobs.verb import verb
from medlight.report.console_table import console_table
from medlight.runs.directory import METRICS_FILE, PROVENANCE_FILE, REPRODUCTION_FILE, RunDirectory
from medlight.runs.files import write_text
from medlight.tasks.base import Task

log = logging.getLogger(__name__)


class NotReproducedError(MedlightError):
    """The same configuration gave other numbers, by more than another seed would."""


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """One metric, then and now.

    Attributes:
        then, now: its values; None where a run does not have it.
        noise: how far it may differ between two seeds; None where too few runs tell.
    """

    metric: str
    then: float | None
    now: float | None
    noise: float | None

    @property
    def difference(self) -> float | None:
        return None if self.then is None or self.now is None else self.now - self.then

    @property
    def verdict(self) -> str:
        if self.then == self.now:
            return "identical"
        if self.difference is None or self.noise is None or abs(self.difference) > self.noise:
            return "differs"
        return "within seed noise"


@verb("data", "task", "trainer", "run_dir", "run")
def reproduce(
    *,
    data: DataModule,
    task: Task,
    trainer: pl.Trainer,
    run_dir: Path,
    run: Path,
    force: bool = False,
    siblings: Sequence[str] = (),
    init: str | Path | None = None,
) -> None:
    """Train and test anew in `run_dir`, and compare metrics.json and cases.csv with the original.

    Says "identical" if every number is, and "within seed noise" if every metric differs by no
    more than between two seeds (see `jobs.seed_variability`). Writes what it found to
    reproduction.json.

    Args:
        run: the run directory of the original, to compare with.
        force: go on where the data or the split are not those of the original.
        siblings: run directories that differ from the original in their seed; empty: those beside
            it, and those of its recipe in `experiments/`.
        init: weights that the original started from; see `jobs.fit`.

    Raises:
        ConfigError: the data or the split are not those of the original.
        DataNotFoundError: the original was not finished.
        NotReproducedError: a metric differs by more than another seed would change it.
    """
    before = _whole(RunDirectory(run))
    # Read before the training: a damaged file should not be found after it.
    calibrate = bool((before.config().get("job") or {}).get("calibrate"))
    record, metrics, cases = before.provenance(), before.metrics(), _case_texts(before)
    if trainer.is_global_zero:
        for line in check_same_data(record, data, force=force):
            log.warning(line)
    fit(data=data, task=task, trainer=trainer, run_dir=run_dir, init=init, calibrate=calibrate)
    if not trainer.is_global_zero:
        return
    after = _whole(RunDirectory(run_dir))
    for line in environment_changes(record, after.provenance()):
        log.warning(line)
    noise = seed_variability(run, [Path(each) for each in siblings])
    found = compare_metrics(metrics, after.metrics(), noise)
    same_cases = cases == _case_texts(after)
    verdict = overall_verdict(found, same_cases=same_cases)
    write_text(
        run_dir / REPRODUCTION_FILE,
        json.dumps(
            {
                "verdict": verdict,
                "identical_cases": same_cases,
                "seeds": list(noise.seeds),
                "metrics": [asdict(each) for each in found],
            },
            indent=2,
        )
        + "\n",
    )
    if verdict == "identical":
        log.info("Reproduced: metrics.json and cases.csv are identical")
        return
    get_console().print(difference_table(found, noise))
    if verdict == "differs":
        raise NotReproducedError(f"not reproduced: {largest_difference(found)}; {noise.summary}")
    log.info("Reproduced: %s (%s)", verdict, noise.summary)


def check_same_data(
    record: Mapping[str, Any], data: DataModule, *, force: bool = False
) -> list[str]:
    """Find what differs so that runs cannot be compared.

    Returns:
        A line for each difference, if `force` allows any.

    Raises:
        ConfigError: the data or the split differ, and `force` is not set.
    """
    then = str((record.get("data") or {}).get("fingerprint"))
    now = data.cases.fingerprint()
    lines = []
    if then != now:
        lines.append(f"the data are not those of the run: fingerprint {now[:12]}, then {then[:12]}")
    if (record.get("split") or {}).get("hash") != data.split.hash:
        lines.append("the split is not that of the run")
    if lines and not force:
        raise ConfigError("; ".join([*lines, "force=true compares anyway"]))
    return lines


def environment_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What may move the last bits, or more: versions, commit, device, threads."""
    lines = []
    for part in ("code", "hardware"):
        old, new = then.get(part) or {}, now.get(part) or {}
        for key in [key for key in new if old.get(key) != new[key]]:
            lines.append(f"{key}: {new[key]}, then {old.get(key)}")
    if (then.get("code") or {}).get("dirty"):
        lines.append("the code of the run had changes that no commit holds")
    return lines


def compare_metrics(
    then: Mapping[str, float | None], now: Mapping[str, float | None], noise: SeedVariability
) -> list[MetricDifference]:
    names = dict.fromkeys([*then, *now])
    return [MetricDifference(n, then.get(n), now.get(n), noise.tolerance.get(n)) for n in names]


def overall_verdict(found: Sequence[MetricDifference], *, same_cases: bool) -> str:
    verdicts = {each.verdict for each in found}
    for verdict in ("differs", "within seed noise"):
        if verdict in verdicts:
            return verdict
    return "identical" if same_cases else "within seed noise"


def largest_difference(found: Sequence[MetricDifference]) -> str:
    """The metric that differs most, for its noise where that is known."""

    def size(each: MetricDifference) -> float:
        return math.inf if each.difference is None else abs(each.difference) / (each.noise or 1e-9)

    most = max((each for each in found if each.verdict == "differs"), key=size)
    return f"{most.metric} is {_shown(most.now)}, then {_shown(most.then)}"


def difference_table(found: Sequence[MetricDifference], noise: SeedVariability) -> Table:
    """Every metric that is not identical."""
    kept = [each for each in found if each.verdict != "identical"]
    return console_table(
        "Then and now",
        ["metric", "then", "now", "difference", f"noise of {len(noise.seeds)} seeds"],
        [
            [each.metric, *map(_shown, (each.then, each.now, each.difference, each.noise))]
            for each in kept
        ],
        width=get_console().width,
        styles=["red" if each.verdict == "differs" else "" for each in kept],
    )


def _shown(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.6g}"


def _whole(run: RunDirectory) -> RunDirectory:
    for name in (METRICS_FILE, PROVENANCE_FILE):
        if not run.has(name):
            raise DataNotFoundError(
                f"nothing to compare with: {run.path / name} is missing; finish that run first"
            )
    return run


def _case_texts(run: RunDirectory) -> Mapping[str, list[str]] | None:
    return run.cases().columns if run.cases_file else None
