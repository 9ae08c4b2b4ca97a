"""Who is left out: by choice, or because they withdrew. Nobody else changes sides."""

from pathlib import Path

import pytest

from medlight.core.errors import ConfigError, SplitError
from medlight.data.exclusions import find_exclusions
from medlight.datasets.mednist import MedNISTDataModule
from medlight.io.manifest import snapshot

SUBSETS = ("train", "val", "test")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    MedNISTDataModule.fake(tmp_path / "data", cases=60)
    return tmp_path / "data"


def module(root: Path, **options: object) -> MedNISTDataModule:
    return MedNISTDataModule(root=root, cache=root.parent / "cache", **options)  # type: ignore[arg-type]


def test_nothing_is_left_out_by_itself(root: Path) -> None:
    data = module(root)
    assert data.exclusions.cases == frozenset()
    assert data.cases is data.full_index


def test_excluded_cases_are_gone_and_the_others_stay_on_their_side(root: Path) -> None:
    whole = module(root).split
    data = module(root, exclude=["Hand/000000", "CXR/0001*"])
    gone = data.exclusions.excluded
    assert gone == ("Hand/000000", "CXR/000100", "CXR/000150")
    assert set(whole.train + whole.val + whole.test) - set(data.cases.ids) == set(gone)
    for subset in SUBSETS:
        expected = tuple(c for c in getattr(whole, subset) if c not in gone)
        assert getattr(data.split, subset) == expected
    assert "Hand/000000, CXR/000100" in data.exclusions.summary()


def test_a_list_of_exclusions(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "exclude.txt"
    path.write_text("# bad scans\nHand/000000  # moved\n\nHand/000050\n")
    assert module(root, exclude=str(path)).exclusions.excluded == ("Hand/000000", "Hand/000050")


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        (["Hand/00000"], r"MedNIST has no case 'Hand/00000'; did you mean Hand/0"),
        (["Foot/*"], r"no case of MedNIST fits 'Foot/\*'"),
        ([12], r"holds the int 12, but ids are words; put them in quotes"),
        ("Hand/000000", r"type data\.exclude=\[Hand/000000\]"),
    ],
)
def test_a_misspelt_exclusion_is_refused(root: Path, exclude: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _ = module(root, exclude=exclude).cases


def test_excluding_all_that_trains_is_refused(root: Path) -> None:
    with pytest.raises(SplitError, match="every training case is left out"):
        _ = module(root, exclude=["*"]).split


@pytest.mark.parametrize("place", ["root", "data set", "given"])
def test_withdrawn_patients_are_in_no_run(root: Path, tmp_path: Path, place: str) -> None:
    data = module(root)
    patient = data.cases["AbdomenCT/000000"].patient
    theirs = {c.id for c in data.cases if c.patient == patient}
    assert "AbdomenCT/000100" in theirs, "the copy is the same patient's"
    path = {
        "root": root / "withdrawn.txt",
        "data set": root / "MedNIST" / "withdrawn.txt",
        "given": tmp_path / "list.txt",
    }[place]
    path.write_text("AbdomenCT/000000\nof_another_data_set\n")
    data = module(root, withdrawn=path if place == "given" else None)
    assert set(data.exclusions.withdrawn) == theirs
    assert not theirs & set(data.cases.ids)
    assert not theirs & set(data.split.train + data.split.val + data.split.test)
    assert data.exclusions.summary() == f"Left out: withdrawn: {len(theirs)}"
    assert set(find_exclusions(data.full_index, None, [path]).withdrawn) == theirs


def test_a_withdrawal_list_that_is_not_there_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.withdrawn=nowhere"):
        _ = module(root, withdrawn="nowhere").cases


def test_version(root: Path) -> None:
    assert module(root).version is None
    folder = root / "MedNIST"
    manifest = snapshot(module(root).cases, version="1.0")
    manifest.save(folder / manifest.file_name)
    found = module(root).version
    assert found is not None
    assert (found.id, found.verified) == (manifest.id, True)
    assert module(root, exclude=["Hand/000000"]).version == found
    (folder / "Hand" / "000000.jpeg").write_bytes(b"other")
    (folder / "CXR" / "000000.jpeg").rename(folder / "CXR" / "000007.jpeg")
    found = module(root).version
    assert found is not None
    assert (found.changed, found.missing, found.unlisted) == (1, 1, 1)
    assert f"no longer {manifest.id}" in found.summary()
    assert "medlight dataset snapshot" in found.summary()
    with pytest.raises(ConfigError, match=r"data\.manifest=nowhere"):
        _ = module(root, manifest="nowhere").version
