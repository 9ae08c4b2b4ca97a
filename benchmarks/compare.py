"""A sweep of 100 runs on 1,000 cases and 5 metrics, compared with 10,000 draws.

From run directories on disk to every interval, test and rank, in a process of its own. Run:
`python benchmarks/compare.py [--runs 100] [--cases 1000]`. Wanted: 10 s on two cores, and 1 GB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from harness import Report

METRICS = ("dice", "iou", "hd95_mm", "assd_mm", "nsd")
WORK = """
import sys, time, resource, json
start = time.perf_counter()
from medlight.compare.comparison import compare
from medlight.compare.groups import group_runs
from medlight.compare.runs import read_runs
loaded = time.perf_counter()
runs, _ = read_runs([sys.argv[1]])
groups = group_runs(runs)
read = time.perf_counter()
found = compare(groups)
done = time.perf_counter()
unit = 2**20 if sys.platform == "darwin" else 2**10
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
print(json.dumps({"imports": loaded - start, "reading": read - loaded, "statistics": done - read,
                  "all": done - start, "peak": peak, "claims": len(found.results)}))
"""


def write(folder: Path, runs: int, cases: int) -> None:
    random = np.random.default_rng(0)
    hard = random.normal(0, 0.08, cases)
    for k in range(runs):
        run = folder / f"{k}"
        run.mkdir()
        good = np.clip(0.85 + k * 1e-4 + hard + random.normal(0, 0.02, cases), 0, 1)
        values = [good, good / (2 - good), 30 * (1 - good), 8 * (1 - good), good**0.5]
        lines = [f"case,patient,fold,stage,class,{','.join(METRICS)},n_reference,n_predicted"]
        for i in range(cases):
            numbers = ",".join(repr(float(v[i])) for v in values)
            lines.append(f"case_{i:05},patient_{i:05},0,test,organ,{numbers},{1000 + i},1000")
        (run / "cases.csv").write_text("\n".join(lines) + "\n")
        (run / "config.yaml").write_text(f"name: sweep\nseed: 0\nlr: {k}\n")
        record = {"status": "finished", "seed": 0, "split": {"fold": "0"}}
        (run / "provenance.json").write_text(json.dumps(record))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--cases", type=int, default=1_000)
    args = parser.parse_args()
    report = Report("compare")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), args.runs, args.cases)
        done = subprocess.run(
            [sys.executable, "-c", WORK, folder], check=True, capture_output=True, text=True
        )
    found = json.loads(done.stdout)
    what = f"{args.runs} runs x {args.cases} cases x {len(METRICS)} metrics"
    report.add(f"{what}: all, with imports", found["all"], "s", wanted="<= 10 s")
    for part in ("imports", "reading", "statistics"):
        report.add(f"  {part}", found[part], "s")
    report.add("peak memory", found["peak"], "MB", wanted="<= 1024 MB")
    report.finish()


if __name__ == "__main__":
    main()
