"""Names of classes and files are no formulas in a spreadsheet, and come back as they were."""

from pathlib import Path
from typing import Any

import pytest

from medlight.callbacks.results import rows_to_csv
from medlight.io.resumable_csv import ResumableCsv
from medlight.runs.case_table import read_case_table
from medlight.runs.files import csv_text

FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''+1")
RETURNS = ("a\rb", "a\r\nb", "\r", "b\r")
PLAIN = ("liver", "'quoted'", "a=b", "-1.5", "-inf", "+3", "")


def cells(text: str) -> list[str]:
    import csv
    import io

    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


@pytest.mark.parametrize("name", [*FORMULAS, *RETURNS])
def test_no_cell_is_a_formula(tmp_path: Path, name: str) -> None:
    row: dict[str, Any] = {"case": name, "patient": name, "stage": "test", "class": name}
    texts = [rows_to_csv([{**row, name: -0.5}]), csv_text(["case", name], [[name, -0.5]])]
    table = ResumableCsv(tmp_path / "volumes.csv", ["case", "class"])
    table.drop([])
    table.add(name, "k", [{"case": name, "class": name}])
    texts.append((tmp_path / "volumes.csv").read_text())
    for text in texts:
        assert not [cell for cell in cells(text) if cell[:1] in "=+@\t\r" and cell]
        assert "-0.5" in text or "volumes" not in text
    assert ResumableCsv(tmp_path / "volumes.csv", ["case", "class"]).lines.keys() == {name}


@pytest.mark.parametrize("name", [*FORMULAS, *PLAIN, *RETURNS])
def test_a_name_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    row: dict[str, Any] = {"case": name, "patient": name, "stage": "test", "dice": -0.5}
    (tmp_path / "cases.csv").write_text(rows_to_csv([row]), newline="")
    assert read_case_table(tmp_path / "cases.csv").rows() == [row]


@pytest.mark.parametrize("name", PLAIN)
def test_numbers_and_plain_names_are_written_as_they_are(name: str) -> None:
    assert cells(csv_text(["case", "dice"], [[name, -1e-7]])) == ["case", "dice", name, "-1e-07"]
