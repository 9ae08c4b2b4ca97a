"""What a run directory is called where several processes start together."""

import os
import re

import pytest

from medlight.cli.distributed import rank as my_rank
from medlight.cli.distributed import run_stamp
from medlight.core.errors import ConfigError


def test_processes_on_several_machines_agree_on_the_run_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Slurm and torchrun name the job; alone, a run has its own time and token."""
    for key in [key for key in os.environ if key.startswith(("SLURM", "TORCHELASTIC"))]:
        monkeypatch.delenv(key)
    name = run_stamp.__wrapped__
    assert re.fullmatch(r"\d{4}(-\d\d){2}_\d\d(-\d\d){2}_ab12", name("ab12"))
    slurm = {"SLURM_NTASKS": "8", "SLURM_PROCID": "5", "SLURM_JOB_ID": "17", "SLURM_STEP_ID": "0"}
    for key, value in slurm.items():
        monkeypatch.setenv(key, value)
    assert (name("ab12"), my_rank()) == ("slurm-17-0", 5)
    for key in slurm:
        monkeypatch.delenv(key)
    torchrun = {"WORLD_SIZE": "8", "RANK": "3", "TORCHELASTIC_RUN_ID": "hippo"}
    for key, value in {**torchrun, "GROUP_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(key, value)
    assert (name("ab12"), my_rank()) == ("torchrun-hippo", 3)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # torchrun's default
    with pytest.raises(ConfigError, match="--rdzv-id"):
        name("ab12")
