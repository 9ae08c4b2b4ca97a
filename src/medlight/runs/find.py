"""Find the run directories that a path, a folder of runs, a pattern or a list of these names."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from medlight.core.errors import DataNotFoundError
from medlight.core.natural_order import natural_key
from medlight.runs.directory import RUN_FILES

MAX_DEPTH = 6
"""How many levels below a named folder run directories are looked for."""


def find_runs(
    places: str | Path | Sequence[str | Path], files: Sequence[str] = RUN_FILES
) -> list[Path]:
    """Find run directories, each once, by whichever way leads to it first.

    Hidden folders are skipped, and nothing is looked for within a run directory.

    Args:
        places: a run directory; a folder that holds some, such as that of a sweep; a glob pattern
            of either; or a list of all these. The runs of a folder or a pattern come in natural
            order, 2 before 10; a list keeps its own.
        files: what makes a folder a run directory: one of these files.

    Raises:
        DataNotFoundError: one of the places leads to no run.
    """
    listed = [places] if isinstance(places, str | Path) else places
    found: dict[Path, Path] = {}
    for place in listed:
        for run in _runs_of(place, files):
            found.setdefault(run.resolve(), run)
    return list(found.values())


def is_run(folder: Path, files: Sequence[str] = RUN_FILES) -> bool:
    """Say whether a folder has one of the files that a run leaves behind."""
    return any((folder / name).is_file() for name in files)


def _runs_of(place: str | Path, files: Sequence[str]) -> list[Path]:
    path = Path(place).expanduser()
    matching = sorted(glob.glob(str(path), recursive=True), key=natural_key)
    named = [path] if path.exists() else [Path(each) for each in matching]
    runs = [run for each in named for run in _below(each, files, MAX_DEPTH, set())]
    if not runs:
        lacking = f"holds no {' or '.join(files[:2])}, nor do its folders"
        what = lacking if named else "does not exist"
        raise DataNotFoundError(f"{place} is not a run directory: it {what}")
    return runs


def _below(folder: Path, files: Sequence[str], depth: int, seen: set[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in seen or not folder.is_dir():
        return
    seen.add(real)
    if is_run(folder, files):
        yield folder
    elif depth > 0:
        inner = [each.name for each in folder.iterdir() if not each.name.startswith(".")]
        for name in sorted(inner, key=natural_key):
            yield from _below(folder / name, files, depth - 1, seen)
