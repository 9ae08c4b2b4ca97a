"""Archives: unpacked once, whole or not at all, and never outside their folder."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from medlight.core.errors import DataError, DataNotFoundError
from medlight.io.locate import unpack

FILES = {"Task/dataset.json": b"{}", "Task/images/a.nii": b"abc" * 2000, "Task/deep/er/b": b""}
LITTER = {"Task/images/._a.nii": b"mac", "__MACOSX/Task/x": b"mac", "._Task": b"mac"}


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def left(cache: Path) -> list[str]:
    return [p.name for p in cache.rglob("*") if not p.name.endswith(".lock")]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.zip"])
def test_unpacked_once_and_without_litter(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / name, FILES | LITTER)
    folder = unpack(archive, tmp_path / "cache")
    assert folder.parent == tmp_path / "cache"
    assert tree(folder) == FILES
    before = (folder / "Task/dataset.json").stat().st_mtime_ns
    assert unpack(archive, tmp_path / "cache") == folder
    assert (folder / "Task/dataset.json").stat().st_mtime_ns == before


def test_a_changed_archive_is_unpacked_anew(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar", FILES)
    first = unpack(archive, tmp_path / "cache")
    pack(archive, FILES | {"Task/new": b"new"})
    os.utime(archive, (1, 1))
    assert tree(unpack(archive, tmp_path / "cache")) == FILES | {"Task/new": b"new"}
    assert tree(first) == FILES


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize(
    "evil", ["../evil", "../../evil", "/tmp/evil", "Task/../../evil", "..\\evil", "C:/evil"]
)
def test_names_that_escape_are_refused(tmp_path: Path, suffix: str, evil: str) -> None:
    archive = pack(tmp_path / f"a.{suffix}", FILES | {evil: b"evil"})
    if suffix == "zip" and "\\" in evil and evil not in zipfile.ZipFile(archive).namelist():
        pytest.skip("zipfile does not write backslashes here")
    with pytest.raises(DataError, match=r"a\..*evil would be written outside"):
        unpack(archive, tmp_path / "cache")
    assert left(tmp_path / "cache") == []
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("Task/way out")
        member.type, member.linkname = kind, "../../.."
        tar.addfile(member)
    with pytest.raises(DataError, match="link or a device"):
        unpack(tmp_path / "a.tar", tmp_path / "cache")
    assert left(tmp_path / "cache") == []


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("damage", ["half", "end", "empty", "text", "header"])
def test_damage_leaves_nothing(tmp_path: Path, suffix: str, damage: str) -> None:
    many = {f"Task/{i}": os.urandom(700) for i in range(40)}
    archive = pack(tmp_path / f"a.{suffix}", many)
    good = archive.read_bytes()
    if damage == "header" and suffix == "tar":
        # A header in the middle, which tarfile takes for the end without a word.
        good = good[:15360] + b"\xff" * 512 + good[15872:]
    elif damage == "header":
        good = good[: len(good) // 2] + bytes(64) + good[len(good) // 2 + 64 :]
    cut = {
        "half": len(good) // 2,
        "end": 40 * 1536 if suffix == "tar" else len(good) - 12,
        "empty": 0,
    }
    content = b"<html>" * 300 if damage == "text" else good[: cut.get(damage, len(good))]
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"a\..*: cannot be unpacked"):
        unpack(archive, tmp_path / "cache")
    assert left(tmp_path / "cache") == []


def test_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"a\.tar"):
        unpack(tmp_path / "a.tar", tmp_path / "cache")


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar", FILES)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match=r"paths\.cache="):
        unpack(archive, tmp_path / "file" / "cache")


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar", FILES)
    name = unpack(archive, tmp_path / "elsewhere").name
    (tmp_path / "cache" / f".0123abcd-{name}" / "Task").mkdir(parents=True)
    unpack(archive, tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").glob(".*")] == []


def test_several_processes_unpack_once(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar.gz", {f"Task/{i}": bytes(2000) for i in range(300)})
    program = (
        "import sys; from pathlib import Path; from medlight.io.locate import unpack\n"
        "folder = unpack(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(len(list((folder / 'Task').iterdir())), (folder / 'Task').stat().st_ino)"
    )
    command = [sys.executable, "-c", program, str(archive), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {process.communicate()[0] for process in running}
    assert len(answers) == 1
    assert answers.pop().startswith("300 ")
