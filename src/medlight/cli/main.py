"""The one door: `medlight [verb] key=value ...`. Imports what is slow only when a run starts."""

import glob
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from medlight import __version__
from medlight.cli import compare, dataset
from medlight.cli.options import (
    GROUP_OF_VERBS,
    colour,
    conf_dir,
    conf_dirs,
    groups,
    settings,
    verbs,
)
from medlight.core.errors import ConfigError

log = logging.getLogger(__name__)  # goes to run.log only; see `hydra:` in conf/config.yaml
log.propagate = False

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    for room in (dataset, compare):  # on finished files, with ordinary options
        if words[:1] == [room.VERB]:
            return room.main(words[1:])
    if not words or {"-h", "--help"} & set(words):
        from medlight.cli.help import help_screen, verb_screen

        dirs, tty = conf_dirs(), sys.stdout.isatty()
        verb = next((word for word in words if word in verbs(groups(dirs))), None)
        print(verb_screen(verb, dirs, tty=tty) if verb else help_screen(dirs, tty=tty))
        return 0
    if "--version" in words:
        print(f"medlight {__version__}")
        return 0
    try:
        return _enter(words)
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as end:  # Lightning ends so, once it has let go of its processes
        if isinstance(end.__context__, KeyboardInterrupt):
            return _interrupted()
        raise


def _enter(words: list[str]) -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come out whole, and `report` tells them
    from medlight.cli.config import register

    door = Door()
    register()
    try:
        flags, overrides = door.sort(words)
        door.knock(flags, overrides)
    except Exception as error:
        door.report(error)
    return 1 if door.told or door.failures else 0


class Door:
    """One pass through Hydra, and what is needed to tell what went wrong on the way."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.dirs = conf_dirs()
        self.config_name = "config"
        self.told: list[BaseException] = []
        self.sweeps = False
        self.failures = 0

    def sort(self, words: list[str]) -> tuple[list[str], list[str]]:
        """Options and overrides in any order, the verb as an override."""
        from hydra._internal.utils import get_args_parser

        parser = get_args_parser()
        parser.error = _refuse  # type: ignore[method-assign]
        args = parser.parse_intermixed_args(words)
        rest = list(args.overrides)
        flags = [word for word in words if not (rest and word == rest[0] and rest.pop(0))]
        self.dirs = conf_dirs(args.config_dir)
        if args.shell_completion:
            _complete_verbs(self.dirs)
            return flags, args.overrides
        self.texts = with_verb(args.overrides, groups(self.dirs))
        from medlight.sweep.words import is_sweep

        asked = is_sweep(self.texts, multirun=args.multirun)
        self._start_from_run(multirun=asked or args.multirun)
        self.sweeps = asked and not (args.cfg or args.info or args.help or args.hydra_help)
        return flags, self.texts

    def _start_from_run(self, *, multirun: bool) -> None:
        from hydra.core.config_store import ConfigStore

        from medlight.cli.rerun import find_rerun, parse_overrides, primary_config

        overrides = parse_overrides(self.texts)
        rerun = find_rerun(overrides, multirun=multirun)
        if rerun:
            self.config_name = "of_the_run"
            ConfigStore.instance().store(self.config_name, primary_config(rerun, overrides))

    def knock(self, flags: list[str], overrides: list[str]) -> None:
        if self.sweeps:
            from medlight.sweep.command import sweep

            self.failures = sweep(overrides, self.dirs)
            return
        import hydra

        # With `python -m` the script is called __main__.py, and completion would bind to python.
        program = "medlight" if sys.argv[0].endswith(".py") else sys.argv[0]
        sys.argv = [program, *flags, *overrides]
        enter: Callable[[Any], Any] = hydra.main(
            config_path=str(conf_dir()), config_name=self.config_name, version_base="1.3"
        )(self.run)
        enter()  # type: ignore[call-arg]

    def run(self, cfg: Any) -> float | None:
        """Called by Hydra, once for each job."""
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        import medlight.cli.lazy_imports  # noqa: F401  # before what follows imports torch

        if os.getcwd() not in sys.path:  # as `python -m` has it: a user's own modules
            sys.path.insert(0, os.getcwd())
        try:
            from medlight.cli.validate import check_targets

            check_targets(cfg)
            if HydraConfig.get().mode is RunMode.MULTIRUN:  # a sweeper that is not ours
                from medlight.sweep.task import task

                return task(cfg)
            from medlight.cli.launch import run

            return run(cfg, Path(HydraConfig.get().runtime.output_dir))
        except Exception as error:
            self.report(error)
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise  # the sweeper must know; of several errors it passes on the first only
            return None

    def report(self, error: Exception) -> None:
        """One line for what a user can mend, the traceback for the rest; once."""
        from medlight.cli.errors import explain

        if any(error is each for each in self.told):
            return
        self.told.append(error)
        line = explain(error, self.texts, self.dirs, self.config_name)
        if line is None:
            line = "".join(traceback.format_exception(error)).rstrip()
            print(line, file=sys.stderr)
        else:
            red = colour("error:", "1;31", stream_is_tty=sys.stderr.isatty())
            print(f"{red} {line}", file=sys.stderr)
        if log.hasHandlers():
            log.error(line)


def with_verb(words: Sequence[str], tree: dict[str, dict[str, Path]]) -> list[str]:
    """A leading bare word is the verb: `evaluate run=x` is `job=evaluate run=x`."""
    texts = list(words)
    if texts and texts[0] in tree.get(GROUP_OF_VERBS, {}):
        texts[0] = f"{GROUP_OF_VERBS}={texts[0]}"
    for text in texts:
        if "=" not in text and not text.startswith("~"):
            from medlight.cli.errors import bare_word

            raise bare_word(text, tree)
    if texts and texts[0].startswith(f"{GROUP_OF_VERBS}="):
        texts[0] = f"{GROUP_OF_VERBS}={_variant(texts[0].partition('=')[2], texts[1:], tree)}"
    return [_of_the_verb(_readable(text, tree), texts, tree) for text in texts]


def _variant(verb: str, texts: Sequence[str], tree: dict[str, dict[str, Path]]) -> str:
    """The form of a verb that has these keys: `evaluate predictions=...` is `evaluate_files`."""
    given = {text.partition("=")[0] for text in texts}
    forms = tree.get(GROUP_OF_VERBS, {})
    for name, file in forms.items():
        if name.startswith(f"{verb}_") and given & (settings(file).keys() - settings(forms[verb])):
            return name
    return verb


def _of_the_verb(text: str, texts: Sequence[str], tree: dict[str, dict[str, Path]]) -> str:
    """`check fix=true` is `check job.fix=true`, where no group or root key is called so."""
    verb = next((t.partition("=")[2] for t in texts if t.startswith(f"{GROUP_OF_VERBS}=")), "fit")
    key = text.partition("=")[0]
    file = tree.get(GROUP_OF_VERBS, {}).get(verb)
    return f"{GROUP_OF_VERBS}.{text}" if file and key in settings(file) else text


def _readable(text: str, tree: dict[str, dict[str, Path]]) -> str:
    """Spell for Hydra what its grammar refuses: `group=null`, and paths as the shell knows them."""
    key, _, value = text.partition("=")
    if value == "null" and key in tree:
        return f"{key}=none" if "none" in tree[key] else f"~{key}"
    odd = value.startswith("~") or (set(value) & set(" ,:=()[]{}") and _names_files(value))
    return f"{key}='{value}'" if odd and "'" not in value else text


def _names_files(value: str) -> bool:
    """A path, or a pattern of paths that is no list of Hydra's."""
    return Path(value).exists() or (not value.startswith("[") and bool(glob.glob(value)))


def _complete_verbs(dirs: Sequence[Path]) -> None:
    """Hydra completes key=value; verbs are ours. Hydra reads the line from the environment."""
    program, *words = os.environ.get("COMP_LINE", "").split(" ")
    known = verbs(groups(dirs))
    if len(words) == 1 and "=" not in words[0]:
        print(" ".join(verb for verb in known if verb.startswith(words[0])))
    elif words and words[0] in known:
        words[0] = f"{GROUP_OF_VERBS}={words[0]}"
        os.environ["COMP_LINE"] = " ".join([program, *words])


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message} (medlight --help)")


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return INTERRUPTED
