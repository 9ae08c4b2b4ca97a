"""Run directories drawn from random numbers, as a run would leave them."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

POLICY = "both empty: left out"


def write_run(
    folder: Path,
    *,
    dice: np.ndarray | None = None,
    truth: Sequence[str] = (),
    p: np.ndarray | None = None,
    classes: Sequence[str] = ("liver",),
    cases: Sequence[str] | None = None,
    patients: Sequence[str] | None = None,
    seed: int = 0,
    fold: str = "0",
    config: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """A run directory: of a segmentation with (N, K) `dice`, or of a classification."""
    number = len(truth) if dice is None else len(dice)
    cases = cases or [f"case_{i:03}" for i in range(number)]
    patients = patients or cases
    rows: list[dict[str, Any]] = []
    for i, (case, patient) in enumerate(zip(cases, patients, strict=True)):
        head = {"case": case, "patient": patient, "fold": fold, "stage": "test"}
        if dice is None:
            guess = classes[int(np.argmax(p[i]))]
            shares = {f"p_{name}": p[i, k] for k, name in enumerate(classes)}
            rows.append({**head, "truth": truth[i], "prediction": guess, **shares})
            continue
        for k, name in enumerate(classes):
            voxels = {"n_reference": 100 + i, "n_predicted": 90 + i}
            rows.append({**head, "class": name, "dice": dice[i, k], **voxels})
    folder.mkdir(parents=True)
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    said = {"name": "seg", "seed": seed, "metric": "val/dice", "data": {"fold": fold}}
    (folder / "config.yaml").write_text(yaml.safe_dump({**said, **(config or {})}))
    record = {
        "status": "finished", "seed": seed, "policy": POLICY,
        "split": {"fold": fold}, "data": {"fingerprint": "f1", "name": "drawn"},
        "net": {"parameters": 1_000_000}, "times": {"fit_seconds": 60.0},
        **(provenance or {}),
    }  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(record))
    (folder / "metrics.json").write_text("{}")
    (folder / "curves.csv").write_text("epoch,step,seconds,val/dice\n0,1,1,0.5\n1,2,2,0.6\n")
    return folder


@pytest.fixture
def new_run() -> Callable[..., Path]:
    """`write_run`; tests cannot import each other."""
    return write_run
