"""The one door: `medlight [verb] key=value ...`. Imports what is slow only when a run starts."""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from medlight import __version__
from medlight.cli import compare, dataset
from medlight.cli.distributed import rank
from medlight.cli.options import (
    NO_USER_CONF,
    VERB_GROUP,
    choosing_conf_dirs,
    conf_dir,
    conf_dirs,
    explain_os_error,
    groups,
    import_from_here,
    print_error,
    replaced_files,
    verbs,
)
from medlight.cli.overrides import is_sweep, parse_verb
from medlight.cli.terminal import safe_terminal
from medlight.cli.trust import (
    take_trust,
    targets_of_folder,
    targets_of_text,
    trust,
    trusted_names,
    trusting,
)
from medlight.core.errors import ConfigError
from medlight.runs.renames import rename_overrides

log = logging.getLogger(__name__)  # goes to run.log only; see `hydra:` in conf/config.yaml
log.propagate = False

EXIT_INTERRUPTED = 130
CONFIG_NAME = "config"


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command says.

    Args:
        argv: its words after the program; None: those of this process.

    Returns:
        The exit status: 0, 1 after an error that was printed, 130 if interrupted.
    """
    argv, trusted = take_trust(sys.argv[1:] if argv is None else argv)
    with safe_terminal(), trusting(trusted), choosing_conf_dirs(argv) as words:
        return _main(words)


def _main(argv: list[str]) -> int:
    for module in (dataset, compare):  # on finished files, with ordinary options
        if argv[:1] == [module.VERB]:
            try:
                return module.main(argv[1:])
            except OSError as error:
                if (line := explain_os_error(error)) is None:
                    raise
                print_error(line)
                return 1
    if not argv or {"-h", "--help"} & set(argv):
        from medlight.cli.help import help_screen, verb_screen

        dirs, tty = conf_dirs(), sys.stdout.isatty()
        verb = next((word for word in argv if word in verbs(groups(dirs))), None)
        print(verb_screen(verb, dirs, tty=tty) if verb else help_screen(dirs, tty=tty))
        return 0
    if "--version" in argv:
        print(f"medlight {__version__}")
        return 0
    try:
        return _dispatch(argv)
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as end:  # Lightning ends so, once it has let go of its processes
        if isinstance(end.__context__, KeyboardInterrupt):
            return _interrupted()
        raise


def _dispatch(argv: list[str]) -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come out whole, and `report` tells them
    logging.raiseExceptions = False  # a run.log on a full disk is not what to report
    from medlight.cli.config import register

    app = App()
    register()
    try:
        flags, overrides = app.parse(argv)
        app.run(flags, overrides)
    except Exception as error:
        app.report(error)
    return 1 if app.reported or app.failures else 0


class App:
    """One pass through Hydra, and what is needed to tell what went wrong on the way."""

    def __init__(self) -> None:
        self.overrides: list[str] = []
        self.dirs = conf_dirs()
        self.config_name = CONFIG_NAME
        self.reported: list[BaseException] = []
        self.sweeps = False
        self.failures = 0

    def parse(self, argv: list[str]) -> tuple[list[str], list[str]]:
        """Options and overrides in any order, the verb as an override."""
        from medlight.compat.hydra import argument_parser

        parser = argument_parser()
        parser.error = _parser_error  # type: ignore[method-assign]
        args = parser.parse_intermixed_args(argv)
        rest = list(args.overrides)
        flags = [word for word in argv if not (rest and word == rest[0] and rest.pop(0))]
        for folder in self.dirs[:-1]:
            trust(targets_of_folder(folder))
        for word in args.overrides:
            trust(targets_of_text(word))
        if args.shell_completion:
            _complete_verbs(self.dirs)
            return flags, args.overrides
        self.config_name = args.config_name or self.config_name
        for folder, files in replaced_files(self.dirs).items() if rank() == 0 else ():
            print(
                f"note: {os.path.relpath(folder)} replaces {', '.join(files)} "
                f"(as shipped: {NO_USER_CONF})",
                file=sys.stderr,
            )
        renamed, notes = rename_overrides(args.overrides)
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        self.overrides = parse_verb(renamed, groups(self.dirs))
        if args.multirun and (args.cfg or args.info):
            raise ConfigError("-m runs a sweep, --cfg and --info show one configuration: give one")
        asked = is_sweep(self.overrides, multirun=args.multirun)
        self._use_run_config(multirun=asked or args.multirun)
        self.sweeps = asked and not (args.cfg or args.info or args.help or args.hydra_help)
        return flags, self.overrides

    def _use_run_config(self, *, multirun: bool) -> None:
        from hydra.core.config_store import ConfigStore

        from medlight.cli.rerun import find_rerun, parse_overrides, run_primary_config

        overrides = parse_overrides(self.overrides)
        rerun = find_rerun(overrides, multirun=multirun)
        if rerun:
            if self.config_name != CONFIG_NAME:
                raise ConfigError(
                    f"--config-name={self.config_name}: {rerun.key}= starts from the config of a "
                    "run; leave one out"
                )
            self.config_name = "rerun_config"
            ConfigStore.instance().store(self.config_name, run_primary_config(rerun, overrides))

    def run(self, flags: list[str], overrides: list[str]) -> None:
        if self.sweeps:
            from medlight.sweep.command import sweep

            self.failures = sweep(overrides, self.config_name)
            return
        import hydra

        # With `python -m` the script is called __main__.py, and completion would bind to python.
        program = "medlight" if sys.argv[0].endswith(".py") else sys.argv[0]
        sys.argv = [program, *flags, *overrides]
        enter: Callable[[Any], Any] = hydra.main(
            config_path=str(conf_dir()), config_name=self.config_name, version_base="1.3"
        )(self.run_job)
        enter()  # type: ignore[call-arg]

    def run_job(self, cfg: Any) -> float | None:
        """Called by Hydra, once for each job."""
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        import medlight.cli.lazy_imports  # noqa: F401  # before what follows imports torch

        import_from_here(trusted_names())
        try:
            from medlight.cli.validate import check_targets

            check_targets(cfg)
            if HydraConfig.get().mode is RunMode.MULTIRUN:  # a sweeper that is not ours
                from medlight.sweep.task import task

                return task(cfg)
            from medlight.cli.claim import claim_run_dir
            from medlight.cli.launch import run

            run_dir = Path(HydraConfig.get().runtime.output_dir)
            with claim_run_dir(cfg, run_dir):
                return run(cfg, run_dir)
        except Exception as error:
            self.report(error)
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise  # the sweeper must know; of several errors it passes on the first only
            return None

    def report(self, error: Exception) -> None:
        """Print one line for what a user can fix, the traceback for the rest; once."""
        from medlight.cli.errors import explain_error

        if any(error is each for each in self.reported):
            return
        self.reported.append(error)
        line = explain_error(error, self.overrides, self.dirs, self.config_name)
        if line is None:
            line = "".join(traceback.format_exception(error)).rstrip()
            print(line, file=sys.stderr)
        else:
            print_error(line)
        if log.hasHandlers():
            with suppress(OSError):  # of a run directory that may only be read
                log.error(line)


def _complete_verbs(dirs: Sequence[Path]) -> None:
    """Hydra completes key=value; verbs are ours. Hydra reads the line from the environment."""
    program, *words = os.environ.get("COMP_LINE", "").split(" ")
    known = verbs(groups(dirs))
    if len(words) == 1 and "=" not in words[0]:
        print(" ".join(verb for verb in known if verb.startswith(words[0])))
    elif words and words[0] in known:
        words[0] = f"{VERB_GROUP}={words[0]}"
        os.environ["COMP_LINE"] = " ".join([program, *words])


def _parser_error(message: str) -> NoReturn:
    raise ConfigError(f"{message} (medlight --help)")


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return EXIT_INTERRUPTED
