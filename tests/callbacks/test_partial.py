"""A run that was trained or tested on a part of its data is a try-out, and says so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from medlight.callbacks.provenance import Provenance
from medlight.runs.directory import RunDirectory

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
PARTIAL = {
    "fast_dev_run": {"fast_dev_run": True},
    "limit_train_batches=1": {"limit_train_batches": 1},
    "limit_val_batches=1": {"limit_val_batches": 1},
    "limit_val_batches=0.7": {"limit_val_batches": 0.7},
    "limit_val_batches=0": {"limit_val_batches": 0},
    "limit_test_batches=2": {"limit_test_batches": 2},
    "overfit_batches=1": {"overfit_batches": 1},
    "less than an epoch": {"max_steps": 1},
}
WHOLE: list[dict[str, Any]] = [
    {}, {"limit_train_batches": 99, "limit_test_batches": 1.0}, {"max_steps": 4},
    {"accumulate_grad_batches": 8},
]  # fmt: skip
NewRun = Callable[..., Any]


def trained(new_run: NewRun, folder: Path, **options: Any) -> dict[str, Any]:
    run = new_run("classes", folder, [Provenance(run_dir=folder)], **options)
    run.fit()
    run.test()
    return json.loads((folder / "provenance.json").read_text())


@pytest.mark.parametrize("name", PARTIAL)
def test_a_part_of_the_data_makes_a_partial_run(name: str, new_run: NewRun, tmp_path: Path) -> None:
    """It counted as finished, and kept the whole folder from being compared."""
    assert trained(new_run, tmp_path, **PARTIAL[name])["status"] == "partial"
    assert [each.removeprefix("trainer.") for each in RunDirectory(tmp_path).left_out()] == [name]


@pytest.mark.parametrize("options", WHOLE, ids=str)
def test_limits_that_limit_nothing_do_not(
    options: dict[str, Any], new_run: NewRun, tmp_path: Path
) -> None:
    assert trained(new_run, tmp_path, **options)["status"] == "finished"
    assert RunDirectory(tmp_path).left_out() == []


def test_a_whole_test_makes_up_for_a_partial_one(new_run: NewRun, tmp_path: Path) -> None:
    trained(new_run, tmp_path, limit_test_batches=1)
    new_run("classes", tmp_path, [Provenance(run_dir=tmp_path)]).test()
    assert RunDirectory(tmp_path).left_out() == []
    assert RunDirectory(tmp_path).provenance()["status"] == "finished"


@pytest.mark.parametrize(
    ("first", "left"),
    [({"max_steps": 1}, []), ({"limit_train_batches": 1}, ["trainer.limit_train_batches=1"])],
)
def test_a_resume_makes_up_for_steps_but_not_for_batches_left_out(
    first: dict[str, Any], left: list[str], new_run: NewRun, tmp_path: Path
) -> None:
    saving = pl.callbacks.ModelCheckpoint(dirpath=tmp_path, save_last=True)
    new_run("classes", tmp_path, [Provenance(run_dir=tmp_path), saving], **first).fit()
    run = new_run("classes", tmp_path, [Provenance(run_dir=tmp_path)], epochs=3)
    run.fit(tmp_path / "last.ckpt")
    run.test()
    assert RunDirectory(tmp_path).left_out() == left
