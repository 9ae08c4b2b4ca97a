"""Records of a run that nobody wrote so: one line that names the file, wherever they are read."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from medlight.compare.case_scores import read_case_scores
from medlight.core.errors import DataError
from medlight.jobs.model_card import model_card
from medlight.jobs.seed_variability import seed_variability
from medlight.runs.directory import RunDirectory
from tests.jobs.test_predict import trained

OUTCOME = {
    "format": 1, "kind": "segmentation", "classes": ["a"], "per_class_rows": True, "policy": "",
    "metrics": {"dice": {"better": "higher", "unit": "", "title": "Dice"}},
    "text_columns": ["case", "patient", "fold", "stage", "class"],
}  # fmt: skip


@pytest.mark.parametrize(
    "record",
    [
        {"data": 3, "split": 3}, {"data": {"sources": 3}, "split": {"fold": 0}},
        {"data": {"sources": [3]}, "split": {"train": 1}}, {"net": {"parameters": "x"}},
        {"code": "x"}, {"training": 7}, {"partial": {"fit": 3}}, {"partial": [1]},
    ],
)  # fmt: skip
def test_a_strange_provenance_is_named_by_the_model_card(tmp_path: Path, record: Any) -> None:
    (tmp_path / "provenance.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"provenance\.json: "):
        model_card(tmp_path, trained(1), {})


def test_a_split_has_three_sides(tmp_path: Path) -> None:
    """`evaluate run=[a,b]` ended in a bare KeyError."""
    (tmp_path / "split.json").write_text("{}")
    assert RunDirectory(tmp_path).split() == {"train": [], "val": [], "test": []}


@pytest.mark.parametrize("head", ["case,patient,fold,stage,klass,dice", "case,patient,stage,dice"])
def test_a_table_without_its_columns_is_named(tmp_path: Path, head: str) -> None:
    (tmp_path / "outcome.json").write_text(json.dumps(OUTCOME))
    row = ",".join("test" if name == "stage" else "0" for name in head.split(","))
    (tmp_path / "cases.csv").write_text(f"{head}\n{row}\n")
    with pytest.raises(DataError, match=r"cases\.csv: .*class"):
        read_case_scores(tmp_path)


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """The last one counted, without a word."""
    (tmp_path / "cases.csv").write_text("case,patient,dice,dice\na,b,0.1,0.9\n")
    with pytest.raises(DataError, match=r"cases\.csv: two columns are called 'dice'"):
        RunDirectory(tmp_path).cases()


def test_a_damaged_run_beside_one_does_not_end_its_reproduction(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It did, after the training."""
    for name, metrics in (("a", '{"test/dice": 0.5}'), ("b", "{"), ("c", '{"test/dice": "x"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("seed: 0\n")
        (tmp_path / name / "metrics.json").write_text(metrics)
    with caplog.at_level(logging.WARNING):
        assert seed_variability(tmp_path / "a").seeds == (0,)
    assert "metrics.json" in caplog.text
