"""What a sweep adds to each of its jobs, beyond what the job itself takes once all is imported.

A job of a sweep: the time of a sweep of six less that of one of two, over four. The bare process:
the same run from its config.yaml, timed from after the imports to its end.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import Report

ROUNDS = 2
FEW, MANY = 2, 6
TINY = [
    "experiment=seg_unet2d", "data.n_cases=30", "data.batch_size=4", "data.epoch_samples=8",
    "model.channels=[4,8]", "model.strides=[2]", "trainer.max_epochs=3",
    "trainer.accelerator=cpu", "sweep.name=s", "sweep.compare=false",
]  # fmt: skip
BARE = """
import sys, time
from pathlib import Path
from medlight.cli.config import load_config, register
from medlight.cli.launch import run
from medlight.sweep.process import PRELOADED_MODULES
for name in PRELOADED_MODULES:
    __import__(name)
start = time.perf_counter()
register()
run(load_config(sys.argv[1]), Path(sys.argv[1]))
print("seconds", time.perf_counter() - start)
"""


def swept(folder: Path, jobs: int) -> float:
    """Seconds of a new sweep."""
    words = [*TINY, f"seed={','.join(map(str, range(jobs)))}"]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "medlight", "-m", *words], cwd=folder, check=True,
        capture_output=True, env={**os.environ, "MEDLIGHT_CACHE": str(folder.parent / "cache")},
    )  # fmt: skip
    return time.perf_counter() - start


def bare(folder: Path) -> float:
    """Seconds of one of its jobs, run again in a new place."""
    job = next(folder.glob("outputs/sweeps/s/*/config.yaml")).parent
    place = folder / "bare"
    place.mkdir()
    (place / "config.yaml").write_text((job / "config.yaml").read_text())
    done = subprocess.run(
        [sys.executable, "-c", BARE, "bare"], cwd=folder, check=True, capture_output=True,
        text=True, env={**os.environ, "MEDLIGHT_CACHE": str(folder.parent / "cache")},
    )  # fmt: skip
    return float(done.stdout.split("seconds ")[-1])


def main() -> None:
    report = Report("sweep_overhead")
    marginal, alone = [], []
    with tempfile.TemporaryDirectory() as scratch:
        swept(_folder(scratch, "first"), FEW)  # draws and prepares the data
        for turn in range(ROUNDS):
            few = swept(_folder(scratch, f"few{turn}"), FEW)
            many = swept(_folder(scratch, f"many{turn}"), MANY)
            marginal.append((many - few) / (MANY - FEW))
            alone.append(bare(Path(scratch) / f"many{turn}"))
    report.add("one more job of a sweep", statistics.median(marginal), "s", all=marginal)
    report.add("the same run, bare, without imports", statistics.median(alone), "s", all=alone)
    extra = statistics.median(marginal) - statistics.median(alone)
    report.add("overhead of a job", extra, "s", wanted="<= 1.5")
    report.finish()


def _folder(scratch: str, name: str) -> Path:
    folder = Path(scratch) / name
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
