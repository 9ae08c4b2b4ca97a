"""The table of a data set at a million cases: time and memory of what every start goes through.

Each step runs in a process of its own, so that its peak memory is its own; `start-up` is what a
run does before it opens a case: build, leave out, split, fingerprint, take the training side. Run:
`python benchmarks/index_scale.py [--cases 1000000] [--files 500000]`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import Report, resident_mb

from medlight.core.index import Index, Source
from medlight.core.index_builder import IndexBuilder
from medlight.core.labels import Labels
from medlight.core.split import make_split

STEPS = ("build", "split", "fingerprint", "start-up")
SHARES = (0.25, 0.5, 1.0)
WANTED_S, WANTED_GB = 10, 1.5
CHUNK = 10_000


def build(cases: int) -> Index:
    """An index in the manner of ChestX-ray14: two views a patient, 14 findings."""
    builder, finding = IndexBuilder(), np.arange(14)
    for start in range(0, cases, CHUNK):
        rows = np.arange(start, min(start + CHUNK, cases))
        tags = (rows[:, None] // 2 * 7919 + finding * 104729) % (20 + finding) == 0
        names = [f"{k // 2:08d}_{k % 2:03d}" for k in rows.tolist()]
        builder.extend([
            {
                "id": name, "patient": name[:8], "tags": row,
                "files": {"image": f"images_{k % 12:03d}/images/{name}.png"},
                "meta": {"view": "PA" if k % 2 else "AP"},
            }
            for k, name, row in zip(rows.tolist(), names, tags.tolist(), strict=True)
        ])  # fmt: skip
    labels = Labels(tuple(f"finding_{k}" for k in range(14)), "multilabel")
    return Index(labels=labels, sources=[Source("generated", Path("data"))], **builder.build())


def step(name: str, place: str) -> None:
    """One step; prints cases, seconds and the peak of memory in MB."""
    if name == "listing":
        from medlight.datasets.mednist import MedNISTDataModule

        data = MedNISTDataModule(
            root=Path(place), cache=Path(place), group_size=1, group_duplicates=False
        )
        start = time.perf_counter()
        count = len(data.cases)
        print(json.dumps([count, time.perf_counter() - start, resident_mb()]))
        return
    start = time.perf_counter()
    index = build(int(place))
    if name in ("split", "fingerprint"):
        start = time.perf_counter()
    if name == "start-up":
        index = index.without({index.ids[0]})
    if name in ("split", "start-up"):
        split = make_split(index, fold=0, folds=5, val_fraction=0.1)
    if name in ("fingerprint", "start-up"):
        index.fingerprint()
    if name == "start-up":
        index.subset(split.train)
    print(json.dumps([len(index), time.perf_counter() - start, resident_mb()]))


def measured(name: str, place: str) -> tuple[int, float, float]:
    words = [sys.executable, __file__, "--step", name, place]
    cases, seconds, peak = json.loads(subprocess.run(words, check=True, stdout=-1).stdout)
    return cases, seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=500_000)
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        step(*args.step)
        return
    report = Report("index_scale")
    with tempfile.TemporaryDirectory() as folder:
        for share in SHARES:
            for name in STEPS:
                cases, seconds, peak = measured(name, str(int(args.cases * share)))
                bound = f"<= {WANTED_S}" if name == "build" and share == 1 else ""
                report.add(f"{name}, {cases:,} cases", seconds, "s", wanted=bound)
                if name == "build" and share == 1:
                    what, bound = f"{name}, {cases:,} cases: peak of memory", f"<= {WANTED_GB}"
                    report.add(what, peak / 2**10, "GB", wanted=bound)
        pictures = Path(folder) / "pictures"
        for k in range(5):
            (pictures / f"class_{k}").mkdir(parents=True)
        for k in range(args.files):
            os.close(os.open(pictures / f"class_{k % 5}" / f"{k:06d}.png", os.O_CREAT))
        count, seconds, _ = measured("listing", str(pictures))
        report.add(f"a folder of {count:,} images, none opened", seconds, "s")
    report.finish()


if __name__ == "__main__":
    main()
