"""How long it takes to look over 47,000 small pictures: `medlight check` less the page.

Real MedNIST where MEDLIGHT_DATA names it, else drawn pictures. Run:
`python benchmarks/check_speed.py [--processes 2] [--cases 47000]`.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from medlight.audit.audit import judge
from medlight.audit.facts import gather
from medlight.audit.findings import counted
from medlight.core.index import Index
from medlight.datasets._miniature import write_classes
from medlight.datasets.mednist import CLASSES, MedNISTDataModule


def timed(index: Index, processes: int) -> None:
    start = time.perf_counter()
    facts = gather(index, processes=processes)
    read = time.perf_counter()
    found = list(judge(index, facts))
    end = time.perf_counter()
    print(
        f"{len(index):,} pictures, {processes} processes: {end - start:.1f} s "
        f"({read - start:.1f} s to open each once, {end - read:.1f} s to judge), {counted(found)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cases", type=int, default=47_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = os.environ.get("MEDLIGHT_DATA")
        if root is None:
            root = place
            write_classes(
                Path(place) / "drawn", CLASSES, cases=args.cases, seed=0, step=1, suffix=".jpeg"
            )
        timed(MedNISTDataModule(root=root, cache=place).cases, args.processes)


if __name__ == "__main__":
    main()
