"""A sweep at Weights & Biases, read back from its real offline runs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def records(job: Path) -> list[dict[str, Any]]:
    (path,) = job.glob("wandb/offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_one_group_of_finished_runs_with_plain_settings(typed) -> None:
    typed.environ.update(WANDB_MODE="offline")
    words = ["logger=wandb", "optimizer.lr=1e-3", "augment=none,light", "seed=3"]
    code, out = typed(*words)
    assert code == 0, out
    seen = {}
    for key in typed.statuses():
        found = records(typed.sweep / key)
        [run] = [each["run"] for each in found if each["type"] == "run"]
        assert run["run_group"] == "s"
        assert [each["exit"]["exit_code"] for each in found if each["type"] == "exit"] == [0]
        config: dict[str, Any] = {}
        for each in found:
            config |= each["config"]["update"] if each["type"] == "config" else {}
        assert config["optimizer"]["lr"] == 1e-3
        seen[run["display_name"]] = config["sweep"]
    assert seen == {"augment=none": {"augment": "none"}, "augment=light": {"augment": "light"}}
