"""Limits count what memory or the disk will hold, before it is filled."""

import gzip
import io
import lzma
import math
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medlight.core.errors import DataError
from medlight.io import archive
from medlight.io.locate import unpack
from medlight.io.read import read_image, read_mask, read_raw

MB = 2**20


def volume(dtype: str, mb: float) -> bytes:
    """A packed file of zeros that holds so many MB of voxels."""
    side = round(math.sqrt(mb * MB / np.dtype(dtype).itemsize))
    return gzip.compress(nib.Nifti1Image(np.zeros((side, side, 1), dtype), np.eye(4)).to_bytes(), 1)


def picture(mode: str, side: int, form: str = "PNG") -> bytes:
    Image.new(mode, (side, side)).save(stream := io.BytesIO(), form)
    return stream.getvalue()


READERS: dict[str, Callable[[Path], Any]] = {
    "image": read_image,
    "mask": read_mask,
    "raw image": read_raw,
    "raw mask": lambda path: read_raw(path, mask=True),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("name", "content", "image_mb", "mask_mb"),
    [
        ("v.nii.gz", volume("u1", 4), 5 * 4, 9 * 4),
        ("v.nii.gz", volume("f4", 4), 2 * 4, 7 * 4),
        ("p.png", picture("L", 1024), 8, 12),
        ("p.png", picture("P", 1024), 8, 12),
        ("p.tif", picture("F", 1024, "TIFF"), 20, 24),
        ("p.png", picture("LA", 1024), 20, 24),
    ],
    ids=["uint8", "float32", "L", "P", "F", "LA"],
)
def test_a_file_is_measured_as_the_array_it_becomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, name: str, content: bytes,
    image_mb: float, mask_mb: float,
) -> None:  # fmt: skip
    path = tmp_path / name
    path.write_bytes(content)
    needed = mask_mb if "mask" in reader else image_mb
    monkeypatch.setenv("MEDLIGHT_READ_GB", str((needed - 0.5) / 1024))
    with pytest.raises(DataError, match=rf"{name}.* of memory, more than the limit"):
        READERS[reader](path)
    monkeypatch.setenv("MEDLIGHT_READ_GB", str((needed + 4.5) / 1024))
    READERS[reader](path)


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_a_picture_that_says_to_hold_more_than_any_packing_can(tmp_path: Path, mode: str) -> None:
    raw = bytearray(picture(mode, 8, "TIFF"))
    for tag in (b"\x00\x01\x04\x00", b"\x01\x01\x04\x00"):  # width and height
        raw[raw.index(tag) + 8 : raw.index(tag) + 12] = (40_000).to_bytes(4, "little")
    (tmp_path / "p.tif").write_bytes(raw)
    with pytest.raises(DataError, match=r"p\.tif: .*40000 x 40000 pixels, in \d+ bytes"):
        read_image(tmp_path / "p.tif")


def test_a_file_that_is_read_as_it_lies_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "v.nii.gz").write_bytes(bytes(3 * MB))
    monkeypatch.setenv("MEDLIGHT_READ_GB", str(2 / 1024))
    with pytest.raises(DataError, match="more than the limit"):
        read_raw(tmp_path / "v.nii.gz")


def tar(*members: tuple[str, bytes], after: bytes = b"", form: str = "gz") -> bytes:
    """An archive; `after` follows its end."""
    with tarfile.open(fileobj=(stream := io.BytesIO()), mode="w") as file:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    whole = stream.getvalue() + after
    return gzip.compress(whole) if form == "gz" else lzma.compress(whole)


def header(kind: bytes, size: int, body: bytes, form: int = tarfile.GNU_FORMAT) -> bytes:
    """One that says it is of this kind and size."""
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, size
    return gzip.compress(member.tobuf(form) + body)


def sparse(size: int) -> bytes:
    """An old GNU sparse file of two kB that says it holds so much."""
    member = tarfile.TarInfo("x")
    member.type = tarfile.GNUTYPE_SPARSE
    raw = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    raw[483:495] = b"%011o\0" % size
    raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + sum(raw[156:512]) + 8 * 32)
    return bytes(raw) + bytes(1024)


def packed_zip(method: int, *members: tuple[str, bytes]) -> bytes:
    with zipfile.ZipFile(stream := io.BytesIO(), "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return stream.getvalue()


ZEROS = bytes(8 * MB)
ARCHIVES = {
    "a.tar.gz": (tar(("z", ZEROS)), "200 times its own size"),
    "many.tgz": (tar(*((f"z{n}", bytes(MB)) for n in range(8))), "200 times its own size"),
    "behind.tar.gz": (tar(("a", b"a"), after=ZEROS), "200 times its own size"),
    "a.zip": (packed_zip(zipfile.ZIP_DEFLATED, ("z", ZEROS)), "200 times its own size"),
    "lzma.zip": (packed_zip(zipfile.ZIP_LZMA, ("z", ZEROS)), "200 times its own size"),
    "a.tar.xz": (tar(("z", ZEROS), form="xz"), "200 times its own size"),
    "sparse.tar": (sparse(10**10), "200 times its own size"),
    "negative.tar.gz": (header(b"0", -(10**9), b""), "cannot be unpacked"),
    "pax.tar.gz": (header(tarfile.XHDTYPE, len(ZEROS), ZEROS), "attribute of 8388608 bytes"),
    "global.tar.gz": (header(tarfile.XGLTYPE, len(ZEROS), ZEROS), "attribute of 8388608 bytes"),
    "name.tar.gz": (header(tarfile.GNUTYPE_LONGNAME, len(ZEROS), ZEROS), "of 8388608 bytes"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_holds_no_more_than_its_size_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(archive, "_SPARE_BYTES", MB)
    content, told = ARCHIVES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: .*{told}.*data\.root="):
        unpack(tmp_path / name, tmp_path / "cache")
    assert not [p for p in tmp_path.glob("cache/*") if p.suffix != ".lock"]


def test_an_archive_holds_no_more_than_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tar.gz").write_bytes(tar(("z", ZEROS)))
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: SimpleNamespace(free=MB))
    with pytest.raises(DataError, match="more than the disk has room for"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "cache")


@pytest.mark.parametrize("name", ["a.tar.xz", "lzma.zip"])
def test_damaged_lzma_names_the_archive(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(0).bytes(4000)
    whole = bytearray(
        tar(("a", random), form="xz")
        if name.endswith("xz")
        else packed_zip(zipfile.ZIP_LZMA, ("a", random))
    )
    for start in range(300, 3000, 300):
        whole[start : start + 40] = bytes(40)
    (tmp_path / name).write_bytes(whole)
    with pytest.raises(DataError, match=f"{name}: cannot be unpacked"):
        unpack(tmp_path / name, tmp_path / "cache")
