"""The table of a data set at a million cases: time and memory of what every start goes through.

Each step runs in a process of its own, so that its peak memory is its own. Run:
`python benchmarks/index_scale.py [--cases 1000000] [--files 500000]`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLASSES = tuple(f"finding_{k}" for k in range(14))
STEPS = ("load", "split", "fingerprint", "listing")


def write(path: Path, cases: int) -> None:
    """An index in the manner of ChestX-ray14: two views a patient, 14 findings."""
    head = {
        "format": 1,
        "labels": {"names": CLASSES, "kind": "findings"},
        "sources": [{"name": "generated", "root": "data", "version": "", "licence": "",
                     "citation": "", "public": False}],
    }  # fmt: skip
    with path.open("w") as file:
        file.write(json.dumps(head) + "\n")
        for k in range(cases):
            tags = [int((k // 2 * 7919 + j * 104729) % (20 + j) == 0) for j in range(14)]
            record = {
                "id": f"{k // 2:08d}_{k % 2:03d}",
                "patient": f"{k // 2:08d}",
                "files": {"image": f"images_{k % 12:03d}/images/{k // 2:08d}_{k % 2:03d}.png"},
                "tags": tags,
                "meta": {"view": "PA" if k % 2 else "AP"},
            }
            file.write(json.dumps(record, separators=(",", ":")) + "\n")


def step(name: str, path: Path, folder: Path) -> None:
    """One step; prints seconds and peak memory."""
    from medlight.core.index import Index
    from medlight.core.split import make_split

    if name == "listing":
        from medlight.datasets.mednist import MedNISTDataModule

        data = MedNISTDataModule(root=folder, cache=folder, block=1, compare=False)
        start = time.perf_counter()
        found = len(data.cases)
        report(name, start, found)
        return
    start = time.perf_counter()
    index = Index.load(path)
    if name != "load":
        start = time.perf_counter()
    if name == "split":
        make_split(index, fold=0, folds=5, val_fraction=0.1)
    if name == "fingerprint":
        index.fingerprint()
    report(name, start, len(index))


def report(name: str, start: float, count: int) -> None:
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_gb = peak / (1 << 30 if sys.platform == "darwin" else 1 << 20)
    print(f"{name:12} {count:>9,} cases {seconds:8.2f} s   peak {peak_gb:5.2f} GiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=500_000)
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        step(args.step[0], Path(args.step[1]), Path(args.step[2]))
        return
    with tempfile.TemporaryDirectory() as place:
        path, folder = Path(place) / "index.jsonl", Path(place) / "pictures"
        write(path, args.cases)
        print(f"{path.stat().st_size / 2**20:.0f} MiB of jsonl")
        for k in range(5):
            (folder / f"class_{k}").mkdir(parents=True)
        for k in range(args.files):
            os.close(os.open(folder / f"class_{k % 5}" / f"{k:06d}.png", os.O_CREAT))
        for name in STEPS:
            words = [sys.executable, __file__, "--step", name, str(path), str(folder)]
            subprocess.run(words, check=True)


if __name__ == "__main__":
    main()
