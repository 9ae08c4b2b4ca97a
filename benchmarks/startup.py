"""From the command to the first training step, beside importing torch and Lightning alone.

CPU seconds of whole processes, in turns. Run: `python benchmarks/startup.py [--rounds 5]`.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable

from harness import Report, Timing

IMPORTS = "import torch, pytorch_lightning"
FIRST_STEP = """
import os, sys
from medlight.cli.main import main
from medlight.callbacks import reseed
reseed.Reseed.on_train_batch_end = lambda *_: os._exit(0)
main(sys.argv[1:])
"""
RUN = ["experiment=seg_unet3d_quick", "data=phantom", "data.n_cases=10", "hydra.run.dir=run"]


def process(folder: str, code: str, *words: str) -> Callable[[], float]:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=folder,
            env={**os.environ, "MEDLIGHT_CACHE": folder},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "import torch and Lightning": process(folder, IMPORTS),
            "to the first training step": process(folder, FIRST_STEP, *RUN),
        }
        taken: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(args.rounds + 1):  # the first prepares the data and is not counted
            for side, seconds in sides.items():
                value = seconds()
                if turn:
                    taken[side].append(value)
    timings = {side: Timing(tuple(values)) for side, values in taken.items()}
    report = Report("startup")
    report.add_timings(timings)
    slow, fast = reversed(sides)
    report.add_ratio("command to first step", timings, slow, fast, wanted="<= 1.5")
    report.finish()


if __name__ == "__main__":
    main()
