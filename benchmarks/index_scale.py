"""The table of a data set at a million cases: time and memory of what every start goes through.

Each step runs in a process of its own, so that its peak memory is its own; `start-up` is what a
run does before it opens a case: load, leave out, split, fingerprint, take the training side. Run:
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

STEPS = ("load", "split", "fingerprint", "start-up")
SHARES = (0.25, 0.5, 1.0)
WANTED_S, WANTED_GB = 10, 1.5


def write(path: Path, cases: int) -> None:
    """An index in the manner of ChestX-ray14: two views a patient, 14 findings."""
    from medlight.core.index import Index, Source
    from medlight.core.index_file import save_index
    from medlight.core.labels import Labels

    case, finding = np.arange(cases)[:, None], np.arange(14)
    ids = [f"{k // 2:08d}_{k % 2:03d}" for k in range(cases)]
    index = Index(
        labels=Labels(tuple(f"finding_{k}" for k in range(14)), "multilabel"),
        sources=[Source("generated", Path("data"))],
        ids=ids,
        patients=[name[:8] for name in ids],
        files={"image": [f"images_{k % 12:03d}/images/{name}.png" for k, name in enumerate(ids)]},
        tags=((case // 2 * 7919 + finding * 104729) % (20 + finding) == 0).astype(np.float32),
        meta={"view": ["PA" if k % 2 else "AP" for k in range(cases)]},
    )
    save_index(index, path)


def step(name: str, place: Path) -> None:
    """One step; prints cases, seconds and the peak of memory in MB."""
    from medlight.core.index_file import load_index
    from medlight.core.split import make_split

    if name == "listing":
        from medlight.datasets.mednist import MedNISTDataModule

        data = MedNISTDataModule(root=place, cache=place, group_size=1, group_duplicates=False)
        start = time.perf_counter()
        count = len(data.cases)
        print(json.dumps([count, time.perf_counter() - start, resident_mb()]))
        return
    start = time.perf_counter()
    index = load_index(place)
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


def measured(name: str, place: Path) -> tuple[int, float, float]:
    words = [sys.executable, __file__, "--step", name, str(place)]
    cases, seconds, peak = json.loads(subprocess.run(words, check=True, stdout=-1).stdout)
    return cases, seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=500_000)
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        step(args.step[0], Path(args.step[1]))
        return
    report = Report("index_scale")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.jsonl"
        for share in SHARES:
            write(path, int(args.cases * share))
            for name in STEPS:
                cases, seconds, peak = measured(name, path)
                bound = f"<= {WANTED_S}" if name == "load" and share == 1 else ""
                report.add(f"{name}, {cases:,} cases", seconds, "s", wanted=bound)
                if name == "load" and share == 1:
                    what, bound = f"{name}, {cases:,} cases: peak of memory", f"<= {WANTED_GB}"
                    report.add(what, peak / 2**10, "GB", wanted=bound)
        pictures = Path(folder) / "pictures"
        for k in range(5):
            (pictures / f"class_{k}").mkdir(parents=True)
        for k in range(args.files):
            os.close(os.open(pictures / f"class_{k % 5}" / f"{k:06d}.png", os.O_CREAT))
        count, seconds, _ = measured("listing", pictures)
        report.add(f"a folder of {count:,} images, none opened", seconds, "s")
    report.finish()


if __name__ == "__main__":
    main()
