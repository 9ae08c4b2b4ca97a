"""`resume=` and `run=`: start from the config.yaml of a run instead of from conf/."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from medlight.cli.config import load_config, shipped_hydra_settings
from medlight.core.errors import ConfigError
from medlight.runs.config_keys import RERUN_GROUPS, RERUN_KEYS, may_change_on_rerun
from medlight.runs.directory import CONFIG_FILE
from medlight.runs.find import find_runs

NEEDED = ("data", "paths", "task", "trainer")
"""Groups that the configuration of every run has."""
FIT = "medlight.jobs.fit.fit"
RESUME_AUTO = "auto"
"""`resume=auto`: start in this run directory, or go on where the run in it stands."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """The run directories to start from, by which of the two keys they were named, and where
    results go: into the run itself, or into the folder of a sweep; None: into a new folder."""

    key: str
    runs: tuple[Path, ...]
    results: str | None


def find_rerun(overrides: Sequence[Override], *, multirun: bool = False) -> Rerun | None:
    """Find the runs that these overrides start from, if any.

    Raises:
        ConfigError: the overrides contradict each other.
        DataNotFoundError: a place holds no run.
    """
    if multirun and any(o.key_or_group == "overwrite" for o in overrides):
        raise ConfigError(
            "overwrite= is for one run; give another sweep.name, or remove its folder"
        )
    named = {o.key_or_group: o for o in overrides if o.key_or_group in ("run", "resume")}
    if not named:
        return None
    if len(named) == 2:
        raise ConfigError("run= and resume= exclude each other: give one")
    key, override = named.popitem()
    value = None if override.is_sweep_override() or override.is_delete() else override.value()
    if multirun or not isinstance(value, str | list):
        raise ConfigError(f"{key}= takes run directories, got {override.input_line}")
    if key == "resume" and not isinstance(value, str):
        raise ConfigError(f"resume= takes one run directory, got {override.input_line}")
    verbs = [o.value() for o in overrides if o.key_or_group == "job"]
    if (key, value) == ("resume", RESUME_AUTO) and verbs in ([], ["fit"]):
        return None
    if key == "run" and verbs in ([], ["fit"]):
        raise ConfigError("run= says which run a verb works on: medlight evaluate run=...")
    if key == "resume" and verbs not in ([], ["fit"]):
        raise ConfigError(
            f"resume= continues training; {verbs[0]} takes run={shlex.quote(str(value))}"
        )
    folder = Path(value).expanduser() if isinstance(value, str) else None
    runs = [folder] if folder and key == "resume" else find_trained_runs(value)
    where = runs[0] if len(runs) == 1 else folder if folder and folder.is_dir() else None
    if verbs == ["reproduce"]:
        where = None  # it is run anew, beside the original
    return Rerun(key, tuple(runs), None if where is None else str(where))


def find_trained_runs(places: str | Path | Sequence[str | Path]) -> list[Path]:
    """Find the runs that `run=` names: those that have a configuration to start from."""
    return find_runs(places, (CONFIG_FILE,))


def run_primary_config(rerun: Rerun, overrides: Sequence[Override]) -> dict[str, Any]:
    """Give the run's own configuration in Hydra's terms: a defaults list of what is replaced.

    Of several runs, that of the first. A group that is chosen anew is replaced as a whole; Hydra
    overrides single keys.

    Raises:
        ConfigError: an override would make it another run; see `runs.config_keys`.
    """
    free = ["hydra", rerun.key, *(["job"] if rerun.key == "run" else [])]
    for override in overrides:
        key = override.key_or_group.replace("/", ".")
        allowed = key.partition(".")[0] in free or may_change_on_rerun(key)
        if not allowed and override.input_line != "job=fit":
            raise ConfigError(
                f"{override.input_line} would make it another run: with {rerun.key}= only "
                f"{', '.join(RERUN_KEYS)}, and where files are (such as data.root), can change"
            )
    saved = cast(dict[str, Any], OmegaConf.to_container(load_config(rerun.runs[0])))
    chosen = {o.key_or_group for o in overrides if o.key_or_group in (*RERUN_GROUPS, "job")}
    _check_saved(saved, rerun, chosen)
    saved.update(run=None, resume=None)
    if isinstance(saved["paths"], dict):
        saved["paths"]["run_dir"] = "${hydra:runtime.output_dir}"
    hydra = shipped_hydra_settings()
    output = [o.value() for o in overrides if o.key_or_group == "job.output"]
    if output:  # beside what the verb writes; the run may be somebody else's
        hydra["run"] = {"dir": str(Path(str(output[-1])).expanduser())}
    elif rerun.results:
        hydra["run"] = {"dir": rerun.results}
    return {
        "defaults": ["run_config", "_self_", *({group: None} for group in sorted(chosen))],
        **{key: value for key, value in saved.items() if key not in chosen},
        "hydra": hydra,
    }


def _check_saved(saved: Mapping[str, Any], rerun: Rerun, chosen: Collection[str]) -> None:
    file = rerun.runs[0] / CONFIG_FILE
    lacking = [key for key in NEEDED if saved[key] is None and key not in chosen]
    if lacking:
        raise ConfigError(
            f"{file}: it has no {', '.join(lacking)}; take the file from a copy of the run, or "
            f"train again"
        )
    job = str((saved["job"] or {}).get("_target_", FIT))
    if rerun.key == "resume" and job != FIT:
        raise ConfigError(f"{file}: resume= continues a training, and this run is of {job}")


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Raises Hydra's OverrideParseException, which names the text it stumbled on."""
    return OverridesParser.create().parse_overrides(list(overrides))
