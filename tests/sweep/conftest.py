"""Sweeps as a user types them, on drawn data and the smallest of nets."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TINY = [
    "experiment=seg_unet2d",
    "data.n_cases=30",
    "data.batch_size=4",
    "data.epoch_samples=8",
    "model.channels=[4,8]",
    "model.strides=[2]",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "~callbacks.panels",
    "sweep.name=s",
    "sweep.compare=false",
]
FOLDER = Path("outputs/sweeps/s")


class Typed:
    """A folder to type `python -m medlight -m ...` in; `tiny` is what is typed unless told."""

    tiny = tuple(TINY)

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.sweep = folder, folder / FOLDER
        self.environ = {**os.environ, "HOME": str(folder), "MEDLIGHT_CACHE": str(cache)}

    def start(self, *words: str, tiny: bool = True) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "medlight", "-m", *(TINY if tiny else ()), *words],
            cwd=self.folder, env=self.environ, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def __call__(self, *words: str, tiny: bool = True) -> tuple[int, str]:
        process = self.start(*words, tiny=tiny)
        out, _ = process.communicate(timeout=600)
        return process.returncode, out

    def statuses(self) -> dict[str, dict[str, Any]]:
        """Job to what its job.json says."""
        files = sorted(self.sweep.glob("*/job.json"))
        return {file.parent.name: json.loads(file.read_text()) for file in files}


@pytest.fixture
def typed(tmp_path: Path, shared_cache: Path) -> Typed:
    return Typed(tmp_path, shared_cache)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Start a process that holds a file's lock until it is killed."""
    started = []

    def hold(lock: Path) -> subprocess.Popen[str]:
        code = (
            "from filelock import FileLock\n"
            f"with FileLock({str(lock)!r}):\n"
            "    print(1, flush=True)\n"
            "    input()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout
        process.stdout.readline()
        started.append(process)
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()
