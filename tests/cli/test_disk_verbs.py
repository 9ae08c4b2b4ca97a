"""Every verb says in one line that it cannot write, and leaves no half of a file."""

import errno
import os
import re
import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from medlight.cli.main import main
from medlight.datasets.phantom import PhantomMasksDataModule
from tests.cli.test_disk import RUN
from tests.conftest import RunCli

REFUSED: list[str] = []


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: what cannot be removed again, and does nothing unless there is a place."""
    if not REFUSED or event not in ("open", "os.mkdir", "os.rename", "os.remove"):
        return
    path = args[0]
    writes = event != "open" or bool((args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    named = isinstance(path, str | bytes | os.PathLike)
    if writes and named and os.path.abspath(os.fsdecode(path)).startswith(REFUSED[0]):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


sys.addaudithook(_refuse)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    REFUSED.append(str(folder.resolve()))
    try:
        yield
    finally:
        REFUSED.clear()


@contextmanager
def full(at: int) -> Iterator[None]:
    """No file grows beyond some bytes: what a full disk does, also to what writes by itself."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(autouse=True)
def _cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDLIGHT_CACHE", str(shared_cache))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Path]:
    """A folder with a finished run, masks and images."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDLIGHT_CACHE", str(shared_cache))
        patch.chdir(folder)
        assert main([*RUN[:-1], f"hydra.run.dir={folder}/run"]) == 0
        source = PhantomMasksDataModule(cache=shared_cache, n_cases=20).cases
        for case in source.ids[:2]:
            for role in ("image", "mask"):
                ref = source[case].files[role]
                target = folder / f"{role}s"
                target.mkdir(exist_ok=True)
                shutil.copy(ref.path, target)
        yield folder


DRAWN = "experiment=seg_unet2d data.n_cases=20"
VERBS = {
    "compare {run} {run} --output out": "out",
    f"check {DRAWN} hydra.run.dir=out": "out",
    "evaluate run={run}": "{run}",
    "evaluate predictions={masks} labels={masks} class_names=[a,b,c,d] hydra.run.dir=out": "out",
    "predict run={run} input={images} output=out": "out",
    f"dataset export {DRAWN} format=nnunet output=out/Dataset101_X": "out",
    f"dataset snapshot {DRAWN} --version=1 --output=out/m.jsonl": "out",
    "postprocess run={run}": "{run}",
    f"plan {DRAWN} name=x folder=out": "out",
    f"profile {DRAWN} hydra.run.dir=out": "out",
    f"prepare {DRAWN} store.folder=out hydra.run.dir=out": "out",
    "reproduce run={run} hydra.run.dir=out": "out",
}
"""A command, and where it writes to."""
BYTES = {"compare": 2500, "evaluate": 2500}
"""What a file may hold, so that the first of several can be written."""


def typed(words: str, made: Path) -> list[str]:
    places = {"run": made / "run", "images": made / "images", "masks": made / "masks"}
    return words.format(**places).split()


def content(folder: Path) -> dict[str, bytes]:
    """What the files hold, but for the log and what is empty."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("run.log", "provenance.json", ".lock")
    }


@pytest.mark.parametrize("words", VERBS)
def test_a_verb_in_a_read_only_folder(words: str, made: Path, run_cli: RunCli) -> None:
    """`evaluate` and `postprocess` ended in a traceback, as the log could not be opened."""
    folder = Path(VERBS[words].format(run=made / "run"))
    before = content(folder)
    with read_only(Path.cwd() if folder == Path("out") else folder):
        code, _, err = run_cli(*typed(words, made))
    told = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (code, len(told)) == (1, 1), err
    assert "Traceback" not in err
    assert "Read-only file system" in told[0]
    assert re.search(r"(type|give).*(output|folder|hydra\.run\.dir)=", told[0])
    assert content(folder) == before


@pytest.mark.parametrize("words", VERBS)
def test_a_verb_on_a_full_disk(words: str, made: Path, run_cli: RunCli) -> None:
    """Tracebacks of 26 lines, a half .config.yaml or manifest, and old scores beside new cases."""
    folder = Path(VERBS[words].format(run=made / "run"))
    before = content(folder)
    with full(BYTES.get(words.partition(" ")[0], 0)):
        code, _, err = run_cli(*typed(words, made))
    assert (code, err.count("\n")) == (1, 1), err
    assert re.match(r"error: \S+: .*File too large.*(make room|type --output=)", err)
    assert content(folder) == before
