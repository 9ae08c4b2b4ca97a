"""Folds put together from what their tests left behind."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medlight.callbacks.results import rows_to_csv
from medlight.core.errors import DataError
from medlight.jobs.evaluate import evaluate, evaluate_folds
from medlight.runs.directory import RunDirectory
from medlight.tasks.multiclass_outcome import MulticlassOutcome
from medlight.tasks.segmentation_outcome import SegmentationOutcome

OUTCOME = SegmentationOutcome(("liver",), policy="p", labels=("background", "liver"))


def line(case: str, fold: int, dice: float) -> dict:
    return {
        "case": case, "patient": case, "fold": fold, "stage": "test", "class": "liver",
        "dice": dice, "hd95_mm": 1.5, "n_reference": 5, "n_predicted": 4,
    }  # fmt: skip


def fold(folder: Path, number: int, dice: dict[str, float], policy: str = "p") -> Path:
    run = folder / f"fold{number}"
    run.mkdir()
    rows = [line(case, number, value) for case, value in dice.items()]
    (run / "cases.csv").write_text(rows_to_csv(rows))
    (run / "provenance.json").write_text(json.dumps({"policy": policy}))
    return run


def test_all_cases_count_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = fold(tmp_path, 0, {"a": 1.0, "b": 0.5, "c": math.nan})
    two = fold(tmp_path, 1, {"d": 0.3})
    evaluate_folds([one, two], tmp_path, OUTCOME)
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert summary["test/dice"] == pytest.approx((1 + 0.5 + 0.3) / 3)
    assert summary["test/dice_low/liver"] < 0.6 < summary["test/dice_high/liver"]
    rows = RunDirectory(tmp_path).cases().rows(OUTCOME.spec.text_columns)
    assert [row["case"] for row in rows] == ["a", "b", "c", "d"]
    assert OUTCOME.summarise(rows)["dice"] == summary["test/dice"]
    shown = capsys.readouterr().out
    assert "2 runs together, 4 cases" in shown
    assert any(part.split()[:2] == ["fold1", "0.3000"] for part in shown.splitlines())


def test_runs_that_cannot_stand_in_one_table(tmp_path: Path) -> None:
    one, two = fold(tmp_path, 0, {"a": 1.0}), fold(tmp_path, 1, {"a": 0.4, "b": 1})
    with pytest.raises(DataError, match=r"1 cases were tested by more than one .*\(a\)"):
        evaluate_folds([one, two], tmp_path, OUTCOME)
    other = fold(tmp_path, 2, {"z": 0.3}, policy="q")
    with pytest.raises(DataError, match=r"(?s)different policies.*fold0: p.*fold2: q"):
        evaluate_folds([one, other], tmp_path, OUTCOME)
    (one / "cases.csv").unlink()
    with pytest.raises(DataError, match="has not been tested; type medlight evaluate run="):
        evaluate_folds([one, two], tmp_path, OUTCOME)


def test_classes(tmp_path: Path) -> None:
    run = tmp_path / "r"
    run.mkdir()
    rows = [
        {"case": c, "patient": c, "truth": t, "prediction": "x", "p_x": 0.7, "p_y": 0.3}
        for c, t in (("1", "x"), ("2", "y"), ("3", "x"))
    ]
    (run / "cases.csv").write_text(rows_to_csv(rows))
    outcome = MulticlassOutcome(("x", "y"))
    found = RunDirectory(run).cases().rows(outcome.spec.text_columns)
    scores, between = outcome.summarise(found), outcome.intervals(found)
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert between["accuracy"].low < 2 / 3


def test_scores_of_a_run_may_go_to_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hydra.run.dir=, the checkpoint was looked for there."""
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    best.parent.mkdir(parents=True)
    best.write_bytes(b"")
    taken: list[Path] = []
    monkeypatch.setattr(
        "medlight.jobs.evaluate.test", lambda *_, checkpoint, **__: taken.append(checkpoint)
    )
    for looked_at in ("load_checkpoint", "check_weights"):
        monkeypatch.setattr(f"medlight.jobs.evaluate.{looked_at}", lambda *_: None)
    data = SimpleNamespace(split=SimpleNamespace(test=("a",), fold="0"))
    job: Any = evaluate
    job(data=data, task=None, trainer=None, run_dir=tmp_path / "x", load=None,
        runs=[tmp_path / "run"])  # fmt: skip
    assert taken == [best]
