"""Preparing cases in threads or in processes: wall seconds for volumes that are unpacked, turned,
resampled and stored.

Copies of the spleen crop, each moved a little, padded to 256x256x100 and resampled to
1.5x1.5x2 mm. The same store, filled by one thread, by as many threads as there are cores, and by as
many processes of one thread each, which share one folder. Start-up is not counted.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import Report
from padded import padded_ct, saved_by_nibabel

from medlight.core.grid import Grid
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.io.store.store import Store
from medlight.transforms.volume import Volume

CASES, SHAPE, ROUNDS, READY = 8, (256, 256, 100), 3, 8.0
"""READY: seconds after which all processes begin, when they have imported what they need."""
ABOUT = {"labels": {"0": "background", "1": "organ"}, "modality": {"0": "CT"}}


def write(folder: Path) -> None:
    values, grid = padded_ct()
    grid = Grid(SHAPE, grid.affine)
    pairs = [
        {k: f"./{k}sTr/spleen_{case}.nii.gz" for k in ("image", "label")} for case in range(CASES)
    ]
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps({**ABOUT, "training": pairs}))
    for case in range(CASES):
        moved = np.roll(values, 7 * case, axis=(0, 1))[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
        for part, array in (("imagesTr", moved), ("labelsTr", (moved > 40).astype(np.int16))):
            (folder / part).mkdir(parents=True, exist_ok=True)
            saved_by_nibabel(folder / part / f"spleen_{case}.nii.gz", array, grid)


def fill(folder: Path, store: Path, num_workers: int, begin: float) -> None:
    """Wait for the moment that was agreed, then prepare."""
    data = DecathlonDataModule(
        root=folder,
        task=folder.name,
        cache=store / "cache",
        store=Store(folder=store, num_workers=num_workers),
        transforms=Volume(spacing_mm=(1.5, 1.5, 2.0)),
    )
    time.sleep(max(0.0, begin - time.time()))
    data.prepare()
    print(time.time() - begin)


def seconds(folder: Path, store: Path, *, processes: int, num_workers: int) -> float:
    begin = time.time() + READY
    words = [sys.executable, __file__, str(folder), str(store), str(num_workers), str(begin)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return max(float(process.communicate()[0].split()[-1]) for process in running)


def main() -> None:
    if len(sys.argv) > 1:
        folder, store, num_workers, begin = sys.argv[1:]
        return fill(Path(folder), Path(store), int(num_workers), float(begin))
    cores = len(os.sched_getaffinity(0))
    sides = {
        "one thread": {"processes": 1, "workers": 1},
        f"{cores} threads": {"processes": 1, "workers": cores},
        f"{cores} processes": {"processes": cores, "workers": 1},
    }
    taken: dict[str, list[float]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as name:
        write(Path(name) / "Task09_Spleen")
        for turn in range(ROUNDS):
            for side, how in sides.items():
                store = Path(name) / f"{side} {turn}"
                taken[side].append(seconds(Path(name) / "Task09_Spleen", store, **how))
    report = Report("prepare")
    medians = {side: statistics.median(some) for side, some in taken.items()}
    for side, some in taken.items():
        report.add(side, medians[side], "s", minimum=min(some), maximum=max(some))
    one, threads, processes = medians.values()
    report.add(f"one thread: times that of {cores} threads", one / threads, "x")
    report.add(f"one thread: times that of {cores} processes", one / processes, "x")
    report.finish()


if __name__ == "__main__":
    main()
