"""What stopping trials early saves, and whether it costs anything: searches with and without.

Each repeat is a search of 30 trials for the learning rate, decay and dropout of a small 2-D UNet on
generated images, once with Hyperband and once to the end of every trial, from the same seed.
Nothing is timed, so as many searches as there are cores run at a time.
"""

import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import Report

REPEATS, TRIALS, EPOCHS = 3, 30, 18
SMALL = [
    "experiment=seg_unet2d", "data.n_cases=60", "data.batch_size=4", "data.epoch_samples=48",
    "data.val_fraction=0.3", "model.channels=[8,16]", "model.strides=[2]",
    "callbacks.ema.decay=0.5",
    "trainer.accelerator=cpu", f"trainer.max_epochs={EPOCHS}", "logger=none", "~callbacks.panels",
    "callbacks.results.predictions=false", "sweep=optuna", "sweep.compare=false",
    f"sweep.n_trials={TRIALS}",
    "sweep.name=s", "optimizer.lr=tag(log,interval(1e-4,1e-1))",
    "optimizer.weight_decay=tag(log,interval(1e-5,1e-1))", "model.dropout=interval(0.0,0.4)",
]  # fmt: skip


def search(folder: Path, cache: Path, *words: str) -> tuple[int, float]:
    """Epochs trained, and the best validation Dice."""
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-m", "medlight", "-m", *SMALL, *words], cwd=folder, check=True,
        capture_output=True, env={**os.environ, "MEDLIGHT_CACHE": str(cache)},
    )  # fmt: skip
    files = folder.glob("outputs/sweeps/s/*/job.json")
    found: list[dict[str, Any]] = [json.loads(file.read_text()) for file in files]
    assert len(found) == TRIALS, len(found)
    done = [each["score"] for each in found if each["state"] == "done"]
    return sum(each["epoch"] for each in found), max(done)


def main() -> None:
    report = Report("pruning")
    saved, better = [], []
    searches = [(seed, side) for seed in range(REPEATS) for side in ("true", "false")]
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:

        def one(seed: int, side: str) -> tuple[int, float]:
            words = (f"sweep.seed={seed}", f"seed={seed}", f"sweep.prune={side}")
            return search(Path(scratch) / f"{seed}{side}", Path(scratch) / "cache", *words)

        found = dict(zip(searches, pool.map(one, *zip(*searches, strict=True)), strict=True))
    for seed in range(REPEATS):
        (pruned, best), (full, reference) = found[seed, "true"], found[seed, "false"]
        saved.append(100 * (1 - pruned / full))
        better.append(best - reference)
        report.add(f"epochs saved, seed {seed}", saved[-1], "%", pruned=pruned, full=full)
        report.add(f"best val/dice with less without, seed {seed}", better[-1], "",
                   best=best, reference=reference)  # fmt: skip
    report.add("epochs saved", statistics.median(saved), "%", wanted=">= 40")
    report.add("best val/dice with less without", statistics.median(better), "", wanted=">= 0")
    report.finish()


if __name__ == "__main__":
    main()
