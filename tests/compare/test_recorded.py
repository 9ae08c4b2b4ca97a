"""What is on record, and the tables made from it."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medlight.cli.main import main
from medlight.compare.recorded import BEGIN, END, record_run, render_tables, update_tables
from medlight.compare.runs import read_run, read_runs
from medlight.core.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]
MADE = {
    "code": {"commit": "0123456789ab", "dirty": False},
    "times": {"started": "2026-11-22T01:02:03+00:00", "fit_seconds": 61.0, "test_seconds": 2.0},
    "hardware": {"accelerator": "cpu", "device": "AMD EPYC", "threads": 1},
    "split": {"fold": "0", "train": 20, "val": 2, "test": 30},
}


def test_every_table_is_current() -> None:
    """`medlight compare table` makes them; nobody writes them by hand."""
    for path, text in render_tables(ROOT / "experiments", ROOT / "README.md").items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: type medlight compare table"


def test_a_run_is_filed_and_shown(new_run: Callable[..., Path], tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", dice=np.full((30, 1), 0.8), provenance=MADE)
    front = tmp_path / "README.md"
    front.write_text(f"# Front\n{BEGIN}\noutdated\n{END}\nend\n")
    ledger = ["--experiments", str(tmp_path / "experiments")]
    assert main(["compare", "record", str(run), *ledger]) == 0
    folder = tmp_path / "experiments" / "seg" / "2026-11-22_01234567"
    names = {"config.yaml", "provenance.json", "metrics.json", "cases.csv", "curves.csv"}
    assert {path.name for path in folder.iterdir()} == names
    assert main(["compare", "table", *ledger, "--readme", str(front)]) == 0
    line = "Dice 0.8000 (0.8000 to 0.8000) | 1 min 1 s | AMD EPYC, 1 thread |"
    assert line in front.read_text()
    assert front.read_text().endswith(f"{END}\nend\n")
    assert "outdated" not in front.read_text()
    assert "2026-11-22_01234567 | 0.8000" in (folder.parent / "README.md").read_text()
    assert update_tables(tmp_path / "experiments", front) == []
    again = new_run(tmp_path / "again", dice=np.full((30, 1), 0.7), provenance=MADE | {"seed": 1})
    second = record_run(again, tmp_path / "experiments")
    assert second == folder.with_name("2026-11-22_01234567_2")
    for each in (run, again):
        with pytest.raises(ConfigError, match="on record already"):
            record_run(each, tmp_path / "experiments")


def test_a_large_table_is_compressed_and_keeps_its_scores(
    new_run: Callable[..., Path], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    p = random.dirichlet([0.05] * 6, 6_000)
    names = [f"c{k}" for k in range(6)]
    truth = [names[k] for k in random.integers(0, 6, 6_000)]
    run = new_run(tmp_path / "run", truth=truth, p=p, classes=names, provenance=MADE)
    folder = record_run(run, tmp_path / "experiments")
    whole, kept = read_run(run).cases, read_run(folder).cases
    np.testing.assert_allclose(kept.probabilities, whole.probabilities, rtol=1e-5)
    for key, values in whole.scores.items():
        np.testing.assert_allclose(kept.scores[key], values, atol=1e-5)
    size = len(gzip.compress((run / "cases.csv").read_bytes()))
    assert (folder / "cases.csv.gz").stat().st_size < 0.65 * size


@pytest.mark.parametrize("code", [{}, {"commit": "0123456789ab", "dirty": True}])
def test_what_nobody_could_repeat_is_not_filed(
    code: dict, new_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = new_run(tmp_path / "run", dice=np.ones((3, 1)), provenance=MADE | {"code": code})
    with pytest.raises(ConfigError, match="no commit holds"):
        record_run(run, tmp_path / "experiments")
    assert not (tmp_path / "experiments").exists()


def test_a_readme_without_a_place_is_named(new_run: Callable[..., Path], tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", dice=np.ones((3, 1)), provenance=MADE)
    readme = record_run(run, tmp_path / "experiments").parent / "README.md"
    readme.write_text("# By hand\n")
    with pytest.raises(DataError, match=r"seg/README\.md: no place"):
        update_tables(tmp_path / "experiments", tmp_path / "none.md")
    assert json.loads((run / "provenance.json").read_text())["code"]["commit"]


def test_a_partial_run_is_left_out_and_named(
    new_run: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was a run like others, and its folder could not be compared at all."""
    part = {"status": "partial", "partial": {"fit": [], "test": ["trainer.limit_test_batches=1"]}}
    folder = tmp_path / "experiments" / "seg"
    whole = new_run(folder / "whole", dice=np.full((30, 1), 0.8), provenance=MADE)
    tried = new_run(folder / "tried", dice=np.full((1, 1), 0.9), provenance=MADE | part)
    said = r"tried: a partial run, no result \(trainer\.limit_test_batches=1\)"
    runs, [skipped] = read_runs([folder])
    assert ([run.path for run in runs], skipped.path) == ([whole], tried)
    for refused in (lambda: read_run(tried), lambda: record_run(tried, tmp_path / "other")):
        with pytest.raises(DataError, match=said):
            refused()
    (folder / "README.md").write_text(f"# Seg\n{BEGIN}\n{END}\n")
    [table] = render_tables(tmp_path / "experiments", tmp_path / "none").values()
    assert "0.8000" in table
    assert "tried" not in table
    assert f"left out: {tried}: a partial run" in caplog.text


def test_a_run_without_a_score_in_any_case_is_shown(
    new_run: Callable[..., Path], tmp_path: Path
) -> None:
    """`compare` ended in a bare ValueError: such a run has no rank."""
    run = new_run(tmp_path / "run", dice=np.full((30, 1), np.nan), provenance=MADE)
    words = ["compare", str(run), "--no-images", "--output", str(tmp_path / "out")]
    assert main(words) == 0
