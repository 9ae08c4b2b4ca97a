"""One finder of runs, and one rule for checkpoints."""

import gzip
from pathlib import Path

import pytest

from medlight.core.errors import DataError, DataNotFoundError
from medlight.runs.directory import CONFIG_FILE, RunDirectory
from medlight.runs.find import MAX_DEPTH, find_runs


def new_run(folder: Path, name: str = CONFIG_FILE) -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text("")
    return folder


def test_loops_of_links_hidden_folders_and_depth(tmp_path: Path) -> None:
    runs = [new_run(tmp_path / "a" / name) for name in ("2", "10")]
    new_run(tmp_path / ".trash" / "1")
    new_run(tmp_path.joinpath(*map(str, range(MAX_DEPTH + 1))))
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(runs[0])
    assert find_runs(tmp_path) == runs
    assert find_runs([tmp_path / "again", tmp_path]) == [tmp_path / "again", runs[1]]


def test_a_caller_says_what_a_run_must_have(tmp_path: Path) -> None:
    run = new_run(tmp_path / "scored", "metrics.json")
    assert find_runs(tmp_path) == [run]
    with pytest.raises(DataNotFoundError, match=r"holds no config.yaml, nor do its folders"):
        find_runs(tmp_path, (CONFIG_FILE,))


def test_a_run_without_validation_gives_its_last_checkpoint(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with pytest.raises(DataNotFoundError, match="train first"):
        run.checkpoint("best")
    run.checkpoints.mkdir()
    run.last_checkpoint.write_text("last")
    assert run.checkpoint("best") == run.checkpoint("last") == run.last_checkpoint
    (run.checkpoints / "best.ckpt").write_text("best")
    assert run.checkpoint("best").read_text() == "best"
    assert run.checkpoint(run.last_checkpoint) == run.last_checkpoint


def test_the_table_of_cases(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with pytest.raises(DataError, match="has not been tested"):
        run.cases()
    text = "case,patient,stage,dice,n\n007,1,val,0.5,3\n008,2,test,,4\n"
    (tmp_path / "cases.csv.gz").write_bytes(gzip.compress(text.encode()))
    first, second = run.cases().rows()
    assert first == {"case": "007", "patient": "1", "stage": "val", "dice": 0.5, "n": 3}
    assert second["dice"] != second["dice"]
    assert run.cases().of_stage("test").columns["case"] == ["008"]
    (tmp_path / "cases.csv").write_text(text[:-4])
    with pytest.raises(DataError, match="line 3 has 3 columns instead of 5"):
        run.cases()
