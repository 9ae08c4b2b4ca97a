"""Measure a data set and write settings for it."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from medlight.core.errors import ConfigError
from medlight.data.datamodule import DataModule
from medlight.jobs.verb import verb
from medlight.planning.fingerprint import extract_fingerprint
from medlight.planning.memory_estimate import find_device
from medlight.planning.rules import PlannedSetting, normalisation, plan
from medlight.planning.write import write_plan
from medlight.report.console_table import console_table

log = logging.getLogger(__name__)


@verb("data", "run_dir")
def plan_settings(
    *,
    data: DataModule,
    run_dir: Path,
    base: str,
    transforms: str,
    overrides: Sequence[str] = (),
    name: str | None = None,
    folder: str | Path = "conf",
    accelerator: str | None = None,
    memory_gb: float | None = None,
    force: bool = False,
) -> list[PlannedSetting]:
    """Write data, transforms, model and experiment yaml, a reason beside each value.

    Training cases of the fold are measured, no others.

    Args:
        run_dir: not written to.
        base: the data option that is planned for; `transforms`: that of its transforms.
        overrides: the overrides of this command; those of `data.` are kept.
        name: of the experiment; None: plan_<data set>.
        folder: configuration folder to write into.
        accelerator: "cpu" or "gpu", the machine that is planned for; None: what is here.
        memory_gb: what training may take; None: 80 % of the GPU's, else of what is free here.
        force: overwrite an earlier plan.
    """
    device = find_device(accelerator, memory_gb)
    fingerprint = extract_fingerprint(data)
    name = name or "plan_" + re.sub(r"\W+", "_", fingerprint.name).strip("_").lower()
    if not re.fullmatch(r"\w+", name) or name in (base, transforms):
        raise ConfigError(
            f"name={name}: must be letters, digits and _, and not that of an option it starts from"
        )
    choices = [
        PlannedSetting("data", "base", base, "what was measured"),
        PlannedSetting("transforms", "base", transforms, normalisation(fingerprint, transforms)),
        *_data_overrides(overrides),
        *plan(fingerprint, device),
    ]
    summary_lines = fingerprint.describe()
    files = write_plan(
        choices, name=name, summary_lines=summary_lines, folder=Path(folder), force=force
    )
    console = Console()
    for line in summary_lines:
        console.print(line, highlight=False)
    console.print(_table(choices, console.width))
    for file in files:
        log.info("wrote %s", file)
    log.info("Train with: python -m medlight experiment=%s", name)
    return choices


def _data_overrides(overrides: Sequence[str]) -> list[PlannedSetting]:
    """`data.root=/x` on the command line stands in the plan, too."""
    pairs = [word.lstrip("+").partition("=") for word in overrides]
    return [
        PlannedSetting("data", key.removeprefix("data."), _parse_value(text), "as given")
        for key, _, text in pairs
        if key.startswith("data.")
    ]


def _parse_value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False, "null": None}.get(text, text.strip("'\""))


def _table(choices: Sequence[PlannedSetting], width: int) -> Table:
    rows = [
        (s.key if s.file == "experiment" else f"{s.file}.{s.key}", str(s.value), s.reason)
        for s in choices
        if s.key != "base"
    ]
    return console_table(
        "", ["setting", "value", "because"], rows, width=width, text_columns=(0, 1, 2)
    )
