"""Patients who cannot be told apart: by a pattern, by a table, and what is said where neither is
given."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medlight.audit.patients import patient_name_issues
from medlight.core.errors import ConfigError, DataError, SplitError
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.data.patients import group_by_patient
from medlight.datasets._listing import case_id
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.mednist import MedNISTDataModule

SUBSETS = ("train", "val", "test")


def index_of(ids: Sequence[str], classes: Sequence[int] | None = None) -> Index:
    labels = Labels(("a", "b"), "multiclass" if classes else "mask")
    return Index(
        labels=labels,
        sources=[Source("D", Path("d"))],
        ids=ids,
        patients=ids,
        files={"image": [f"{case}.png" for case in ids]},
        tags=None if classes is None else np.eye(2, dtype=np.float32)[list(classes)],
    )


GENIUS = [f"genius_{8 + k // 3:02d}{k % 3:02d}" for k in range(18)]


def pictures(
    root: Path, names: Sequence[str], folders: Sequence[str] = ("benign", "malignant")
) -> Path:
    random = np.random.default_rng(len(folders[0]))
    for name in names:
        for folder in folders:
            path = root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 255, (8, 8), np.uint8)).save(path)
    return root


def module(root: Path, **options: object) -> MedNISTDataModule:
    return MedNISTDataModule(root=root, cache=root.parent / "cache", **options)  # type: ignore[arg-type]


def assert_apart(data: MedNISTDataModule | DecathlonDataModule, length: int) -> None:
    """No two sides of the split share the beginning of an id."""
    sides = [{case[:length] for case in getattr(data.split, subset)} for subset in SUBSETS]
    assert all(sides)
    assert sum(map(len, sides)) == len(set.union(*sides))


def test_pictures_of_a_patient_stay_together(tmp_path: Path) -> None:
    names = [f"P{k:02d}_{v}.png" for k in range(12) for v in range(3)]
    root = pictures(tmp_path / "in", names, folders=("benign",))
    pictures(tmp_path / "in", [n.replace("P", "Q") for n in names], folders=("malignant",))
    data = module(root, patient="([PQ][0-9]+)_")
    assert len(set(data.full_index.patients)) == 24
    assert_apart(data, -2)
    assert data.full_index.fingerprint() != module(root).full_index.fingerprint()
    assert not list(patient_name_issues(data.full_index, data.patient))


def test_volumes_of_a_patient_stay_together(tmp_path: Path) -> None:
    entries = [
        {"image": f"imagesTr/{case}.nii.gz", "label": f"labelsTr/{case}.nii.gz"} for case in GENIUS
    ]
    content = {"labels": {"0": "background", "1": "x"}, "training": entries}
    folder = tmp_path / "Task52_Genius"
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps(content))
    table = tmp_path / "patients.csv"
    table.write_text("case,patient\n" + "".join(f"{case},{case[:9]}\n" for case in GENIUS))
    for patient in (r"(genius_\d\d)", str(table)):
        data = DecathlonDataModule(root=folder, task=folder.name, patient=patient)
        assert_apart(data, 9)
        assert len(set(data.full_index.patients)) == 6


def test_copies_stay_together_whatever_the_pattern_says(tmp_path: Path) -> None:
    root = pictures(tmp_path / "in", [f"P{k}_0.png" for k in range(9)])
    (root / "benign/P99_0.png").write_bytes((root / "benign/P1_0.png").read_bytes())
    index = module(root, patient="(.+)_").full_index
    patients = dict(zip(index.ids, index.patients, strict=True))
    assert patients["benign/P99_0"] == patients["benign/P1_0"]
    assert len(set(patients.values())) == 18


@pytest.mark.parametrize(
    ("patient", "says"),
    [
        ("genius_(", "no regular expression"),
        (r"genius_\d\d", "has 0 groups, but must have one"),
        (r"(genius)_(\d\d)", "has 2 groups"),
        (r"(genius_080)", "names no patient in the id 'genius_0900'"),
        ("nowhere.csv", "cannot be read"),
        ("wrong.csv", "expected a table with columns case and patient"),
        ("short.csv", "17 of 18 cases have no patient in it, such as 'genius_0801'"),
        ("binary.csv", "cannot be read"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patient: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.csv").write_text("id,person\na,b\n")
    Path("short.csv").write_text("case,patient\ngenius_0800,a\n")
    Path("binary.csv").write_bytes(b"case,patient\n\xff\xfe,a\n")
    with pytest.raises(ConfigError, match=says):
        group_by_patient(index_of(GENIUS), patient)


REPEATED = {
    "genius": GENIUS,
    "pictures": [f"x/P{k:02d}_{v}" for k in range(9) for v in range(3)],
    "frames": [f"patient{k:03d}_frame{v:02d}" for k in range(9) for v in (1, 12)],
    "sessions": [f"sub-{k:02d}_ses-{v}_run-1" for k in range(9) for v in (1, 2)],
    "visits": [f"A{k}-v{v}" for k in range(9) for v in (1, 2)],
}
SINGLE = {
    "numbers": [f"hippocampus_{k:03d}" for k in range(1, 250)],
    "some numbers": [f"hippocampus_{k:03d}" for k in range(1, 400, 3)],
    "classes": [f"{kind}/{kind}_{k}" for kind in "abcdef" for k in range(9)],
    "many numbers": [f"{kind}/{k}" for kind in "ab" for k in range(40)],
    "sites": [f"site{s}_{k:03d}" for s in range(4) for k in range(50)],
}


@pytest.mark.parametrize("name", REPEATED)
def test_ids_that_look_like_repeated_patients_are_found(name: str) -> None:
    [issue] = patient_name_issues(index_of(REPEATED[name]), None)
    assert issue.level == "warning"
    pattern = issue.message.split("'")[1]
    grouped = group_by_patient(index_of(REPEATED[name]), pattern)
    assert len(set(grouped.patients)) == (6 if name == "genius" else 9)
    assert not list(patient_name_issues(grouped, None))


@pytest.mark.parametrize("name", SINGLE)
def test_ordinary_ids_are_not(name: str) -> None:
    assert not list(patient_name_issues(index_of(SINGLE[name]), None))


def test_numbers_that_begin_anew_in_each_class_are_no_patients() -> None:
    ids = [f"{kind}/{k}" for kind in ("benign", "malignant") for k in range(9)]
    index = group_by_patient(index_of(ids, [0] * 9 + [1] * 9), r"(\d+)$")
    [issue] = patient_name_issues(index, r"(\d+)$")
    assert "images of several classes as one patient's in 9 of 9 patients" in issue.message
    assert "such as 0: benign/0, malignant/0" in issue.message


def test_a_training_side_of_one_class_is_refused(tmp_path: Path) -> None:
    """Numbered pictures are blocks of neighbours: of 40 a class, two blocks."""
    root = pictures(tmp_path / "numbered", [f"{k}.png" for k in range(1, 41)])
    with pytest.raises(SplitError, match=r"cannot make 5 folds .* type data\.group_size=1"):
        _ = module(root).split
    with pytest.raises(SplitError, match=r"train on benign alone|train on malignant alone") as told:
        _ = module(root, folds=2).split
    assert "data.group_size=1" in str(told.value)
    split = module(root, group_size=1).split
    assert {case.split("/")[0] for case in split.train} == {"benign", "malignant"}


def test_letters_of_any_script_stay_in_ids() -> None:
    names = ["M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller", "\u75c5\u4eba\u4e00", "a b"]
    assert [case_id(name) for name in names] == [*names[:2], "a_b"]
    assert case_id("Mu\N{COMBINING DIAERESIS}ller") == names[0]


def test_two_files_of_one_id_are_named() -> None:
    with pytest.raises(DataError, match=r"x y\.png and x_y\.png would both be 'x_y'; rename one"):
        Index(
            labels=Labels(("a", "b"), "mask"),
            sources=[Source("D", Path("d"))],
            ids=["x_y", "x_y"],
            patients=["x_y", "x_y"],
            files={"image": ["x y.png", "x_y.png"]},
        )
