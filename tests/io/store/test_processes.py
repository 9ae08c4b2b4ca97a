"""Killed, doubled, and out of room: the store is whole all the same."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medlight.io.store.build import StoreFullError
from medlight.io.store.store import Store

WORKER = """
import sys, time
from pathlib import Path
import numpy as np
from medlight.core.case import Case
from medlight.core.file_ref import FileRef
from medlight.core.grid import Grid
from medlight.io.store.case_file import PreparedCase
from medlight.io.store.store import Store

source, folder, log, pause = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])

def build(case):
    with log.open("a") as file:
        file.write(case.id + "\\n")
    time.sleep(pause)
    image = np.load(case.files["image"]).astype(np.float32)
    grid = Grid(image.shape[1:])
    return PreparedCase(image=image, mask=None, source_grid=grid, grid=grid)

files = sorted(source.glob("*.npy"))
cases = [Case(id=p.stem, patient=p.stem, files={"image": FileRef.of(p)}) for p in files]
Store(folder=folder, num_workers=2).open(cases, name="n", recipe={}, build=build)
"""


def start(tmp_path: Path, log: str, *, pause: float) -> "subprocess.Popen[bytes]":
    words = [str(tmp_path / "source"), str(tmp_path / "store"), str(tmp_path / log), str(pause)]
    return subprocess.Popen([sys.executable, "-c", WORKER, *words])


def write(tmp_path: Path, cases: int) -> None:
    (tmp_path / "source").mkdir()
    for case in range(cases):
        values = np.random.default_rng(case).normal(size=(1, 8, 8, 8))
        np.save(tmp_path / "source" / f"{case:02d}.npy", values)


def built(tmp_path: Path, log: str) -> list[str]:
    return (tmp_path / log).read_text().split() if (tmp_path / log).exists() else []


def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    write(tmp_path, 30)
    first = start(tmp_path, "first", pause=0.05)
    while len(built(tmp_path, "first")) < 8 and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    left = tmp_path / "store" / "00" / ".deadbeef-half.case"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half")
    done = {path.name for path in (tmp_path / "store").glob("??/[!.]*.case")}
    assert 0 < len(done) < 30
    assert start(tmp_path, "second", pause=0).wait() == 0
    assert len(built(tmp_path, "second")) == 30 - len(done)
    assert len(list((tmp_path / "store").glob("??/[!.]*.case"))) == 30


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    write(tmp_path, 40)
    both = [start(tmp_path, name, pause=0.02) for name in ("one", "other")]
    assert [process.wait(60) for process in both] == [0, 0]
    one, other = built(tmp_path, "one"), built(tmp_path, "other")
    assert sorted(one + other) == [f"{case:02d}" for case in range(40)], "each case once"
    assert not list((tmp_path / "store").glob("??/.*"))


def test_a_full_disk_is_told_and_what_is_done_is_kept(
    numbers: Any, store: Any, tmp_path: Path
) -> None:
    """A limit on the size of files stands for a full disk: the system fails the same call."""
    for number in range(5):
        numbers.add(number, np.random.default_rng(number).normal(size=(1, 8, 8, 8)))
    numbers.add(5, np.random.default_rng(5).normal(size=(1, 64, 64, 64)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(StoreFullError, match=r"the disk is full .*store\.folder="):
            numbers.open(store())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    files = [path.name for path in (tmp_path / "store").glob("??/*")]
    assert not [name for name in files if name.startswith(".")], "nothing half is left"
    numbers.open(store())
    assert "case_5" in numbers.built
    assert len(numbers.built) == 6 - len(files)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(numbers: Any, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(StoreFullError, match=r"cannot be written.*store\.folder="):
        numbers.open(Store(folder=tmp_path / "locked" / "store"))


def test_a_file_in_place_of_the_folder(numbers: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFullError, match=r"cannot be written.*store\.folder="):
        numbers.open(Store(folder=tmp_path / "file"))


def test_a_case_that_vanished_while_it_was_open(numbers: Any, store: Any) -> None:
    stored = numbers.open(store())
    stored.paths[0].unlink()
    with pytest.raises(FileNotFoundError):
        numbers.whole(stored, 0)
