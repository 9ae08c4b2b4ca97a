"""How all benchmarks measure: sides in turns, one thread, medians with their spread.

Ratios within one run travel between machines; absolute times do not. Every result is written to
`benchmarks/results/<name>.json` with the date, the versions and the hardware.
"""

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from medlight.core.malloc import tune_malloc

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("medlight", "torch", "monai", "numpy", "nibabel", "isal")

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
tune_malloc()  # as every run does, for both sides


@dataclass(frozen=True, slots=True)
class Timing:
    """CPU seconds of every round, per call."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(slots=True)
class Report:
    """The table of one benchmark, and the file it goes to."""

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    hardware: str = ""
    """Where it is not this machine's processor."""

    def add(
        self, what: str, value: float | None, unit: str, *, wanted: str = "", **more: Any
    ) -> None:
        """A row; `wanted` is the bound the project has set itself, such as `>= 2`. None: what could
        not be measured, or what `instead` says."""
        self.rows.append({"what": what, "value": value, "unit": unit, "wanted": wanted, **more})

    def add_ratio(
        self, what: str, timings: Mapping[str, Timing], slow: str, fast: str, *, wanted: str
    ) -> None:
        """How many times the CPU time of `slow` is that of `fast`."""
        ratio = timings[slow].median / timings[fast].median
        self.add(what, ratio, "x", wanted=wanted, slow=slow, fast=fast)

    def add_timings(self, timings: Mapping[str, Timing]) -> None:
        for side, timing in timings.items():
            low, high = min(timing.seconds), max(timing.seconds)
            unit = "ms CPU"
            self.add(side, timing.median * 1e3, unit, minimum=low * 1e3, maximum=high * 1e3)

    def finish(self, *, write: bool = True) -> None:
        """Print the table and write the file."""
        for row in self.rows:
            spread = f"  [{row['minimum']:.4g} - {row['maximum']:.4g}]" if "minimum" in row else ""
            bound = f"  (wanted {row['wanted']})" if row["wanted"] else ""
            known = row["value"] is not None
            value = f"{row['value']:>10.4g}" if known else row.get("instead", "not measured")
            print(f"{row['what']:<64} {value} {row['unit']}{spread}{bound}")
        if not write:
            return
        RESULTS.mkdir(exist_ok=True)
        content = {"name": self.name, **circumstances(), "rows": self.rows}
        content["hardware"] = self.hardware or content["hardware"]
        path = RESULTS / f"{self.name}.json"
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def interleaved(
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 7,
    calls: int | Mapping[str, int] = 1,
) -> dict[str, Timing]:
    """A B A B ...: CPU seconds of each side, per call, after one round that is not counted.

    `calls` in a row, of each side or of all: what takes milliseconds is then in its stride.
    """
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(rounds + 1):
        for side, work in sides.items():
            times = calls if isinstance(calls, int) else calls[side]
            start = time.process_time()
            for _ in range(times):
                work()
            if turn:
                taken[side].append((time.process_time() - start) / times)
    return {side: Timing(tuple(times)) for side, times in taken.items()}


def resident_mb() -> float:
    """The most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def circumstances() -> dict[str, Any]:
    return {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": {name: version(name) for name in LIBRARIES}
        | {"python": sys.version.split()[0]},
        "hardware": f"{processor()}, {os.cpu_count()} cores, one thread used",
    }


def processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
