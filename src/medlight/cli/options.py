"""What conf/ offers: its folders, its groups and the options of each. Hydra is not needed here."""

import argparse
import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from medlight.core.errors import ConfigError

VERB_GROUP = "job"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
NO_USER_CONF = "--no-user-conf"
NO_USER_CONF_VARIABLE = "MEDLIGHT_NO_USER_CONF"
CONFIG_DIR_VARIABLE = "MEDLIGHT_CONFIG_DIR"


class OptionParser(argparse.ArgumentParser):
    """Parses ordinary options, and raises what is wrong with them as a ConfigError."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} ({self.prog} --help)")


def import_from_here(trusted: Iterable[str]) -> None:
    """Let the user's own modules be imported from the working directory, if one lies there.

    The directory comes last: a file there that is called as a package is hides none.

    Args:
        trusted: dotted names; see `cli.trust`.
    """
    here = Path.cwd()
    roots = {name.partition(".")[0] for name in trusted}
    own = any((here / f"{root}.py").is_file() or (here / root).is_dir() for root in roots)
    if own and str(here) not in sys.path:
        sys.path.append(str(here))


def forget_working_directory() -> None:
    """Take the working directory, which `python -m` puts first, from where modules are found.

    The processes that are started later do not put it there either.
    """
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    if not sys.flags.safe_path and sys.path and Path(sys.path[0]).absolute() == Path.cwd():
        del sys.path[0]


def conf_dir() -> Path:
    """The configuration that medlight ships: in a wheel beside the code, else the checkout's."""
    here = Path(__file__).resolve().parents[1]
    packaged = here / "conf"
    return packaged if packaged.is_dir() else here.parents[1] / "conf"


def conf_dirs() -> list[Path]:
    """The user's, `--config-dir` and then `./conf` of the working directory, and last ours.

    A file in an earlier one takes the place of one with its name in a later one.
    """
    ours, extra = conf_dir(), os.environ.get(CONFIG_DIR_VARIABLE)
    theirs = [Path(extra)] if extra else []
    if NO_USER_CONF_VARIABLE not in os.environ:
        theirs.append(Path("conf").absolute())
    return [*(each for each in theirs if each.is_dir() and each.resolve() != ours), ours]


@contextmanager
def choosing_conf_dirs(words: Sequence[str]) -> Iterator[list[str]]:
    """Take `--no-user-conf` from the words of a command, and note its `--config-dir`.

    Both hold here and in the processes that are started meanwhile; the other words are given.
    """
    names = (CONFIG_DIR_VARIABLE, NO_USER_CONF_VARIABLE)
    before = {name: os.environ[name] for name in names if name in os.environ}
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, _, value = word.partition("=")
        if name in ("--config-dir", "-cd"):
            os.environ[CONFIG_DIR_VARIABLE] = os.path.abspath(value or following)
    if NO_USER_CONF in words:
        os.environ[NO_USER_CONF_VARIABLE] = "1"
    try:
        yield [word for word in words if word != NO_USER_CONF]
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)


def replaced_files(dirs: Sequence[Path]) -> dict[Path, list[str]]:
    """Folder of the user to the files in it that take the place of other ones of ours."""
    *theirs, ours = dirs
    found: dict[Path, list[str]] = {}
    for folder in theirs:
        for file in sorted(folder.rglob("*.yaml")):
            shipped = ours / file.relative_to(folder)
            if shipped.is_file() and shipped.read_bytes() != file.read_bytes():
                found.setdefault(folder, []).append(file.relative_to(folder).as_posix())
    return found


def groups(dirs: Sequence[Path]) -> dict[str, dict[str, Path]]:
    """Group to option to file. Where two folders hold the same option, the first wins."""
    found: dict[str, dict[str, Path]] = {}
    for folder in dirs:
        for file in sorted(folder.rglob("*.yaml")):
            group = file.parent.relative_to(folder).as_posix()
            if group != "." and not group.startswith("hydra"):
                found.setdefault(group, {}).setdefault(file.stem, file)
    return found


def verbs(tree: Mapping[str, dict[str, Path]]) -> dict[str, Path]:
    """The words that may stand first. A form of a verb, `evaluate_files`, is typed as the verb."""
    known = tree.get(VERB_GROUP, {})
    return {name: file for name, file in known.items() if name.rpartition("_")[0] not in known}


def yaml_summary(file: Path) -> str:
    """The first comment of a yaml file; empty for one that only serves others."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            return ""
        if not line.startswith("# @"):
            return line.lstrip("# ").rstrip()
    return ""


def yaml_settings(file: Path) -> dict[str, tuple[str, str]]:
    """Key to value and comment of a yaml file; without what is taken from elsewhere."""
    text = file.read_text(encoding="utf-8")
    lines = re.findall(r"^([a-z]\w*): *(.*?)(?: +# (.*))?$", text, re.MULTILINE)
    return {key: (value, why) for key, value, why in lines if not value.startswith("${")}


def header_field(file: Path, word: str) -> str:
    """What the header states after `# Run:`, `# Takes:` or `# Reaches:`."""
    match = re.search(rf"^# {word}: *(.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1].strip() if match else ""


def explain_os_error(error: BaseException | None) -> str | None:
    """Say in one line that a place cannot be written to, or that a disk is full.

    Args:
        error: whatever was raised; what it was raised from counts as well, and a full disk behind
            an error of clearing up.

    Returns:
        The line; None for any other error.
    """
    known: tuple[int, ...] = (*FULL, *FORBIDDEN, errno.ENAMETOOLONG)
    while error is not None:
        if isinstance(error, OSError) and error.errno in known:
            what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
            if error.errno == errno.ENAMETOOLONG:
                return f"{what}: give it a shorter one"
            if error.errno in FULL:
                return (
                    f"{what}: make room, and type the command again; a training goes on with "
                    "medlight resume=<run directory>"
                )
            return (
                f"{what}: give a place that may be written to: hydra.run.dir=<folder> for a run, "
                "output=<folder> for predict and export, --output for compare and dataset, "
                "folder=<folder> for plan, another working directory for a sweep"
            )
        known = known if error.__cause__ else FULL
        error = error.__cause__ or error.__context__
    return None


def print_error(line: str) -> None:
    """Print an error on stderr, in red on a terminal."""
    print(f"{ansi('error:', '1;31', stream_is_tty=sys.stderr.isatty())} {line}", file=sys.stderr)


def ansi(text: str, code: str, *, stream_is_tty: bool) -> str:
    if not stream_is_tty or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{code}m{text}\x1b[0m"
