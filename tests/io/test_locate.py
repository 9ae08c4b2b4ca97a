"""The one rule by which every data set is found."""

import hashlib
import shutil
from pathlib import Path

import pytest

from medlight.core.errors import DataError, DataNotFoundError
from medlight.io.locate import RemoteArchive, locate_dataset


def is_dataset(folder: Path) -> bool:
    return (folder / "dataset.json").is_file()


def find(root: Path, cache: Path, **options: object) -> Path:
    return locate_dataset(
        root, name="Task", is_dataset=is_dataset, cache=cache, aliases=("other",), **options
    )  # type: ignore[arg-type]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "source" / "Task"
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text("{}")
    return folder


def packed(task: Path, to: Path, kind: str = "gztar") -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.make_archive(str(to), kind, task.parent))


def test_folder_parent_and_alias(task: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert find(task, cache) == task
    assert find(task.parent, cache) == task
    task.rename(task.with_name("renamed"))
    assert find(task.with_name("renamed"), cache) == task.with_name("renamed")
    task.with_name("renamed").rename(task.with_name("other"))
    assert find(task.parent, cache) == task.with_name("other")
    assert not cache.exists()


@pytest.mark.parametrize("kind", ["tar", "gztar", "zip"])
def test_archive_and_its_folder(task: Path, tmp_path: Path, kind: str) -> None:
    archive = packed(task, tmp_path / "packed" / "Task", kind)
    (tmp_path / "packed" / "Unrelated.tar").write_bytes(b"not looked at")
    archive.parent.chmod(0o555)
    try:
        for root in (archive, archive.parent):
            found = find(root, tmp_path / "cache")
            assert is_dataset(found)
            assert tmp_path / "cache" in found.parents
        assert len(list(archive.parent.iterdir())) == 2
    finally:
        archive.parent.chmod(0o755)


def test_archive_that_wraps_the_folder_once_more(task: Path, tmp_path: Path) -> None:
    wrapped = tmp_path / "again" / "repository-main"
    shutil.copytree(task.parent, wrapped)
    assert is_dataset(find(packed(wrapped, tmp_path / "anything"), tmp_path / "cache"))


def test_archive_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("")
    archive = packed(tmp_path / "a" / "b", tmp_path / "Task")
    with pytest.raises(DataError, match=r"Task\.tar\.gz: the archive does not hold Task"):
        find(archive, tmp_path / "cache")


def test_unpacked_folder_goes_before_the_archive_beside_it(task: Path, tmp_path: Path) -> None:
    packed(task, task)
    assert find(task.parent, tmp_path / "cache") == task


@pytest.mark.parametrize("there", [True, False])
def test_nothing_there_is_one_clear_error(tmp_path: Path, there: bool) -> None:
    root = tmp_path / "empty"
    if there:
        root.mkdir()
    archive = RemoteArchive("https://example.org/Task.tar", "0" * 32)
    with pytest.raises(DataNotFoundError) as caught:
        find(root, tmp_path / "cache", archive=archive)
    message = str(caught.value)
    for part in (
        str(root), "data.root=", "MEDLIGHT_DATA", "data.download=true", archive.url,
        "python -m medlight experiment=seg_unet3d_quick data=phantom",
    ):  # fmt: skip
        assert part in message
    assert "\n" not in message
    assert ("does not exist" in message) is not there
    with pytest.raises(DataNotFoundError) as caught:
        find(root, tmp_path / "cache")
    assert "download" not in str(caught.value)


def test_relative_root_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataNotFoundError, match=str(tmp_path / "data")):
        find(Path("data"), tmp_path / "cache")


def test_download_is_unpacked_and_not_kept(task: Path, tmp_path: Path) -> None:
    made = packed(task, tmp_path / "Task", "tar")
    archive = RemoteArchive(
        "https://example.org/Task.tar", hashlib.md5(made.read_bytes()).hexdigest()
    )
    (tmp_path / "cache" / "downloads").mkdir(parents=True)
    made.rename(tmp_path / "cache" / "downloads" / "Task.tar")  # as if just fetched
    for _ in range(2):  # the second time from the cache: there is no such address
        found = find(tmp_path / "nowhere", tmp_path / "cache", archive=archive, download=True)
        assert is_dataset(found)
    assert not list((tmp_path / "cache" / "downloads").iterdir())
