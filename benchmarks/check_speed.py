"""Looking over 47,000 small pictures, as `medlight check` does, less the page.

Real MedNIST where MEDLIGHT_DATA names it, else drawn pictures. Run:
`python benchmarks/check_speed.py [--processes 2] [--cases 47000]`.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from harness import Report

from medlight.audit.audit import find_issues
from medlight.audit.file_scan import scan_files
from medlight.core.index import Index
from medlight.datasets._fake_data import write_class_folders
from medlight.datasets.mednist import CLASSES, MedNISTDataModule


def timed(index: Index, num_processes: int) -> Report:
    report = Report("check_speed")
    start = time.perf_counter()
    file_infos = scan_files(index, num_processes=num_processes)
    read = time.perf_counter()
    found = list(find_issues(index, file_infos))
    end = time.perf_counter()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    what = f"{len(index):,} pictures, {num_processes} processes on {cores} cores"
    report.add(f"{what}: all", end - start, "s", wanted="<= 60" if cores == 2 else "")
    times = os.times()
    cpu = times.user + times.system + times.children_user + times.children_system
    report.add("  CPU, imports included", cpu, "s")
    report.add("  to open each once", read - start, "s")
    report.add("  to judge", end - read, "s")
    report.add("  findings", len(found), "")
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cases", type=int, default=47_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = os.environ.get("MEDLIGHT_DATA")
        if root is None:
            root = place
            write_class_folders(
                Path(place) / "drawn", CLASSES, cases=args.cases, seed=0, step=1, suffix=".jpeg"
            )
        index = MedNISTDataModule(root=root, cache=place).cases
        timed(index.subset(index.ids[: args.cases]), args.processes).finish()


if __name__ == "__main__":
    main()
