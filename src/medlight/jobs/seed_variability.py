"""How far two runs may differ that differ in their seed alone."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medlight.core.errors import DataError, reading
from medlight.runs.config_keys import Role, select_settings
from medlight.runs.directory import CONFIG_FILE, METRICS_FILE, RunDirectory

log = logging.getLogger(__name__)
CONFIDENCE_LEVEL = 0.95
MIN_SEEDS = 3
"""Seeds from which a spread can be told at all."""


@dataclass(frozen=True, slots=True)
class SeedVariability:
    """Attributes:
    seeds: of the runs it was found from, each once.
    tolerance: metric to the difference that two seeds stay below, 19 times of 20.
    """

    seeds: tuple[int, ...]
    tolerance: Mapping[str, float]

    @property
    def summary(self) -> str:
        if self.tolerance:
            return f"seed noise from {len(self.seeds)} seeds"
        return (
            f"the noise of seeds is not known: {MIN_SEEDS} runs of this configuration with other "
            f"seeds tell it, there are {len(self.seeds)}"
        )


def seed_variability(original: Path, siblings: Sequence[Path] = ()) -> SeedVariability:
    """From finished runs with the same configuration but for the seed.

    Two draws from a normal distribution of unknown spread differ by less than t s sqrt(2) in 95 %
    of cases, with s their standard deviation over n seeds and t Student's quantile for n - 1
    degrees of freedom.

    Args:
        original: a run directory, one of the seeds.
        siblings: where to look; empty: the folder it lies in, and experiments/<its name>.
    """
    config = RunDirectory(original).config()
    places = list(siblings) or _sibling_runs(original)
    values: dict[int, dict[str, Any]] = {}
    for directory in map(RunDirectory, [original, *places]):
        try:
            if directory.has(CONFIG_FILE, METRICS_FILE) and not directory.left_out():
                other = directory.config()
                if _experiment_config(other) == _experiment_config(config):
                    with reading(directory.path / CONFIG_FILE):
                        seed = int(other.get("seed", 0))
                    values.setdefault(seed, directory.metrics())
        except DataError as error:  # of another run
            log.warning("left out of the noise of seeds: %s", error)
    seeds = tuple(sorted(values))
    if len(seeds) < MIN_SEEDS:
        return SeedVariability(seeds, {})
    from scipy.stats import t

    wide = float(t.ppf((1 + CONFIDENCE_LEVEL) / 2, len(seeds) - 1)) * np.sqrt(2)
    tolerance = {}
    for name in values[seeds[0]]:
        found = [values[seed].get(name) for seed in seeds]
        if None not in found:
            tolerance[name] = wide * float(np.std(np.array(found, float), ddof=1))
    return SeedVariability(seeds, tolerance)


def _experiment_config(config: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Give what two seeds of an experiment share: all that changes the numbers, and the fold."""
    return select_settings(config, (Role.ARITHMETIC,)), (config.get("data") or {}).get("fold")


def _sibling_runs(run: Path) -> list[Path]:
    name = RunDirectory(run).config().get("name", "")
    folders = [run.resolve().parent, Path("experiments") / str(name)]
    return [each for folder in folders if folder.is_dir() for each in sorted(folder.iterdir())]
