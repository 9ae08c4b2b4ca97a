"""Data count as public where their archive has the official checksum, not by a folder's name."""

import hashlib
import shutil
from pathlib import Path

import pytest

from medlight.datasets import decathlon
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.io.verified import verified_md5

TASK = "Task04_Hippocampus"


def module(root: Path, cache: Path) -> DecathlonDataModule:
    return DecathlonDataModule(root=root, cache=cache, patch=None)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    DecathlonDataModule.fake(tmp_path / "made", cases=2)
    return Path(shutil.make_archive(str(tmp_path / TASK), "tar", tmp_path / "made"))


def test_own_data_under_an_official_name_are_private(tmp_path: Path, archive: Path) -> None:
    assert not module(tmp_path / "made", tmp_path / "cache").index().public
    assert not module(archive, tmp_path / "cache").index().public


def test_official_archive_is_public_until_it_is_changed(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setitem(decathlon.TASKS, TASK, (md5, 1.0))
    data = module(archive, tmp_path / "cache")
    assert data.index().public
    assert verified_md5(data.folder) == md5
    (data.folder / "imagesTr" / "mine.nii.gz").write_bytes(b"own")
    assert not module(archive, tmp_path / "cache").index().public
