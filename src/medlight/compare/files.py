"""A comparison as csv and JSON."""

import csv
import io
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medlight.compare.comparison import Comparison
from medlight.compare.words import sentence, verdict
from medlight.io.atomic import aside

CSV = "comparison.csv"
JSON = "comparison.json"


def save(found: Comparison, folder: Path) -> None:
    """Write `comparison.csv` and `comparison.json` into a folder."""
    text = io.StringIO()
    lines = rows(found)
    writer = csv.DictWriter(text, list(lines[-1]), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    _write(folder / CSV, text.getvalue())
    _write(folder / JSON, json.dumps(_known(as_dict(found)), indent=1, ensure_ascii=False) + "\n")


def rows(found: Comparison) -> list[dict[str, Any]]:
    """One line for each run, metric and class; all lines have the same keys."""
    claims = {(claim.group, claim.key): claim for claim in found.claims}
    lines = []
    for group in found.groups:
        for key, mean in found.scores[group.name].items():
            line: dict[str, Any] = {
                "run": group.name, "metric": key[0], "class": key[1] or "all",
                "n": mean.n, "mean": mean.mean, "low": mean.low, "high": mean.high,
            }  # fmt: skip
            claim = claims.get((group.name, key))
            line |= {
                "difference": claim.difference.mean if claim else "",
                "difference_low": claim.difference.low if claim else "",
                "difference_high": claim.difference.high if claim else "",
                "test": claim.test.name if claim else "",
                "p": claim.test.p if claim else "",
                "p_holm": claim.adjusted if claim else "",
                "effect": claim.test.effect if claim else "",
                "wins": claim.wins if claim else "",
                "ties": claim.ties if claim else "",
                "losses": claim.losses if claim else "",
                "detectable": claim.least if claim else "",
                "patients": claim.patients if claim else "",
                "verdict": verdict(claim) if claim else "",
            }
            lines.append(line)
    return lines


def as_dict(found: Comparison) -> dict[str, Any]:
    names = [group.name for group in found.groups]
    return {
        "reference": found.reference.name,
        "metric": found.metric,
        "cases": len(found.cases),
        "patients": len(set(found.patients)),
        "runs": {
            group.name: [
                {"directory": str(run.path), "seed": run.seed, "fold": run.fold}
                for run in group.runs
            ]
            for group in found.groups
        },
        "scores": rows(found),
        "claims": [sentence(claim) for claim in found.claims],
        "moved": {name: [asdict(case) for case in cases] for name, cases in found.moved.items()},
        "ranks": {n: asdict(rank) for n, rank in zip(names, found.ranks, strict=False)},
        "spread": {name: asdict(split) for name, split in found.spread.items()},
        "costs": found.costs,
        "differences": {
            key: dict(zip(names, values, strict=True)) for key, values in found.differences
        },
        "left_out": {str(each.path): each.reason for each in found.skipped},
    }


def _known(value: Any) -> Any:
    """Nan, which JSON lacks, as null."""
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_known(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(path: Path, text: str) -> None:
    with aside(path) as part:
        part.write_text(text, encoding="utf-8")
