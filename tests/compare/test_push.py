"""A comparison that leaves for Weights & Biases, read back offline."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medlight.cli.main import main


def test_a_pushed_comparison_names_no_patient(
    new_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dice = np.random.default_rng(0).uniform(0.6, 0.9, (20, 1))
    for lr in (1, 2):
        new_run(
            tmp_path / "ward7" / f"run{lr}", dice=dice + 0.01 * lr * dice, config={"lr": lr},
            cases=[f"mrs_smith_{i}" for i in range(20)],
        )  # fmt: skip
    out = tmp_path / "out"
    words = [
        str(tmp_path / "ward7"),
        "--output",
        str(out),
        "--n-resamples",
        "200",
        "--tag",
        "night",
    ]
    assert main(["compare", "push", *words, "--offline", "--group", "study"]) == 0
    (path,) = out.glob("wandb/offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    (run,) = [r["run"] for r in records if r["type"] == "run"]
    assert run["job_type"] == "compare"
    assert run["run_group"] == "study"
    assert run["tags"] == ["night"]
    assert run["display_name"] == "lr=1 | lr=2"
    summary: dict = {}
    for record in records:
        summary |= record.get("summary", {}).get("update", {})
    assert summary["lr=1/dice/liver"] == pytest.approx(1.01 * dice.mean())
    files = path.parent / "files"
    (table,) = files.glob("media/table/compare/*.json")
    lines = json.loads(table.read_text())
    place = lines["columns"].index("verdict")
    assert [line[place] for line in lines["data"]] == [None, "better"]
    (page,) = files.glob("media/html/compare/*.html")
    assert "lr=2: better" in page.read_text()
    leaving = "\n".join([page.read_text(), table.read_text(), json.dumps(records[1])])
    for hidden in ("mrs_smith", "ward7", str(tmp_path)):
        assert hidden not in leaving
