"""`medlight -m ...`, or any command with `sweep=` or `launcher=`."""

import importlib.util
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from hydra.utils import instantiate

from medlight.cli.config import NAMES
from medlight.cli.options import conf_dir, import_from_here
from medlight.cli.overrides import SWEEP_OVERRIDE, quote_names
from medlight.cli.rerun import parse_overrides
from medlight.cli.trust import trusted_names
from medlight.cli.validate import check_names, check_targets
from medlight.core.errors import ConfigError, MissingExtraError
from medlight.sweep.job_names import short_keys
from medlight.sweep.process import process_context
from medlight.sweep.progress import print_line
from medlight.sweep.report import report_sweep
from medlight.sweep.sweep import ROOT, Sweep

LAUNCHER_PACKAGES = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "submitit_local": "hydra_plugins.hydra_submitit_launcher",
    "submitit_slurm": "hydra_plugins.hydra_submitit_launcher",
    "ray": "ray",
}
"""Launcher to the package that it is made of."""

HYDRA_PLACES = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")


def sweep(argv: Sequence[str], config_name: str = "config") -> int:
    """Run a sweep.

    Args:
        argv: overrides, with several values for what varies.
        config_name: of the file that all others are composed into.

    Returns:
        The number of jobs that did not finish.

    Raises:
        ConfigError: an override has no say in a sweep.
        MissingExtraError: a package of the launcher is not installed.
    """
    overrides = parse_overrides(argv)
    check_place(overrides)
    if not any(override.key_or_group == "sweep" for override in overrides):
        overrides += parse_overrides(["sweep=grid"])
    check_launcher(next((o.value() for o in overrides if o.key_or_group == "launcher"), None))
    import_from_here(trusted_names())
    process_context().Process(target=os.getpid).start()  # while this process composes, it imports
    with initialize_config_dir(str(conf_dir()), job_name="medlight", version_base="1.3"):
        hydra: Any = GlobalHydra.instance().hydra
        fixed_overrides = [str(o.input_line) for o in overrides if not o.is_sweep_override()]
        cfg = hydra.compose_config(
            config_name, fixed_overrides, run_mode=RunMode.MULTIRUN, with_log_configuration=True
        )
        check_names(cfg, "", NAMES)
        check_targets(cfg.sweep, "sweep")
        sweeper = instantiate(cfg.sweep, _convert_="all")
        name = typed_name(overrides) or sweeper.name
        name = str(name or default_name(cfg.name, overrides, sweeper.sweep_params(overrides)))
        shared = [word for word in fixed_overrides if not SWEEP_OVERRIDE.match(word)]
        if not any(word.startswith("group=") for word in shared):
            shared.append(quote_names(f"group={name}"))  # one group in W&B
        one = Sweep(
            cfg=cfg, loader=hydra.config_loader, fixed_overrides=shared, folder=ROOT / name,
            config_name=config_name,
        )  # fmt: skip
        with interrupt_on_sigterm():
            try:
                jobs = sweeper.run(one, overrides)
            except KeyboardInterrupt:
                print_line("Type the same command again to resume")
                raise
    return report_sweep(one.folder, jobs, metric=cfg.metric, mode=cfg.mode, compare=sweeper.compare)


def check_place(overrides: Iterable[Override]) -> None:
    """Raise ConfigError for a key of Hydra's that says where results go."""
    for override in overrides:
        if override.key_or_group in HYDRA_PLACES:
            raise ConfigError(
                f"{override.input_line}: a sweep lies in {ROOT}/<sweep.name>, each job in a folder "
                "named after its settings; give sweep.name=<name>, and leave this out"
            )


def typed_name(overrides: Iterable[Override]) -> str | None:
    """The name of a sweep as it was typed: 2024 and 1e5 are names, too."""
    words = [str(o.input_line) for o in overrides if o.key_or_group == "sweep.name"]
    text = words[-1].partition("=")[2].strip("'\"") if words else ""
    return None if text in ("", "null") else text


def default_name(experiment: str, overrides: Sequence[Override], varied: Iterable[str]) -> str:
    """The experiment, and the preset or what varies: the same for the same command.

    Values do not count, so that a list that grows stays one sweep.
    """
    preset = next(str(o.value()) for o in overrides if o.key_or_group == "sweep")
    return "_".join([experiment, *(short_keys(varied).values() if preset == "grid" else [preset])])


def check_launcher(name: Any) -> None:
    """Raise MissingExtraError if the package of a launcher is not installed."""
    package = LAUNCHER_PACKAGES.get(str(name))
    if package and not is_installed(package):
        extra = str(name).partition("_")[0]
        raise MissingExtraError(f"launcher={name} needs: pip install 'medlight[{extra}]'")


def is_installed(package: str) -> bool:
    """Of `hydra_plugins`, a folder that is only there where one of them is."""
    return all(importlib.util.find_spec(name) for name in (package.partition(".")[0], package))


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """SIGTERM lets go of the running job in good order, as Ctrl-C does."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
