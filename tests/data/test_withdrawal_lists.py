"""Lines of withdrawal lists that name nobody as they stand, and patients spelt in two ways."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from medlight.core.errors import ConfigError
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.data.exclusions import find_exclusions
from medlight.data.patients import group_by_patient
from medlight.datasets._dataset_json import read_patients

IDS = [f"P{k:02d}_{v}" for k in range(4) for v in range(2)]


def index_of(ids: Sequence[str] = IDS) -> Index:
    files = {"image": [f"{case}.nii.gz" for case in ids]}
    return Index(
        labels=Labels(("a", "b"), "mask"),
        sources=[Source("D", Path("d"))],
        ids=ids,
        patients=ids,
        files=files,
    )


def table(path: Path, rows: Sequence[str]) -> str:
    path.write_text("case,patient\n" + "".join(f"{row}\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("other", ["P00 ", "P00\u00a0", " P00", "p00", "P00\u200b", "\uff3000"])
def test_two_spellings_of_a_patient_are_one_patient(tmp_path: Path, other: str) -> None:
    rows = [f"{case},{other if case == 'P00_1' else case[:3]}" for case in IDS]
    patients = group_by_patient(index_of(), table(tmp_path / "p.csv", rows)).patients
    assert patients[0] == patients[1] != patients[2]
    assert len(set(patients)) == 4


def test_a_case_with_two_patients_is_refused(tmp_path: Path) -> None:
    rows = [f"{case},{case[:3]}" for case in IDS]
    same = group_by_patient(index_of(), table(tmp_path / "p.csv", [*rows, "P00_0,P00 "]))
    assert len(set(same.patients)) == 4
    with pytest.raises(ConfigError, match="'P00_0' has two patients, 'P00' and 'P03'; keep one"):
        group_by_patient(index_of(), table(tmp_path / "p.csv", [*rows, "P00_0,P03"]))


def test_two_spellings_in_dataset_json_are_one_patient() -> None:
    patients = read_patients({"patients": {"a": "P1", "b": "p1 ", "c": "P2"}}, Path("x"))
    assert patients["a"] == patients["b"] != patients["c"]


def test_a_table_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("case,patient,patient\nP00_0,P00,P01\n")
    with pytest.raises(ConfigError, match="expected a table with columns case and patient"):
        group_by_patient(index_of(), str(tmp_path / "p.csv"))


@pytest.mark.parametrize("line", ["p03_0", "P03_0\u200b", "P03_0\u00a0", "\tP03_0  # her wish"])
def test_a_withdrawal_in_another_spelling_counts(tmp_path: Path, line: str) -> None:
    (tmp_path / "w.txt").write_text(f"# list\n{line}\n")
    found = find_exclusions(index_of(), None, [tmp_path / "w.txt"])
    assert (found.withdrawn, found.unmatched) == (("P03_0",), ())


@pytest.mark.parametrize(
    "line",
    ["P03_0,P02_1", "P03_0; P99", "P03_0.nii.gz", "imagesTr/P03_0.nii", "P03*", '"P03_0"', "P03",
     "P03_0 2024-05-01", "P03,P02", "p03_0.dcm"],
)  # fmt: skip
def test_a_withdrawal_that_is_no_name_is_refused_without_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "w.txt").write_text(f"P01_0\n\n{line}\n")
    with pytest.raises(ConfigError, match=r"line 3 .* withdraws nobody; write one case") as error:
        find_exclusions(index_of(), None, [tmp_path / "w.txt"])
    assert "P03" not in str(error.value)


def test_a_patient_with_data_patient_is_withdrawn(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("P03\n")
    index = group_by_patient(index_of(), "(.+)_")
    assert find_exclusions(index, None, [tmp_path / "w.txt"]).withdrawn == ("P03_0", "P03_1")


def test_withdrawals_that_name_nobody_are_counted(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("P01_0\nQ_7\nabout\nP0\nCase 7, of May\n")
    found = find_exclusions(index_of(), None, [tmp_path / "w.txt"])
    assert found.withdrawn == ("P01_0",)
    (said,) = found.unmatched
    assert said.startswith(
        "w.txt: 4 of 5 lines name no case and no patient here (line 2, 3, 4 ...)"
    )
    assert "Q_7" not in said
