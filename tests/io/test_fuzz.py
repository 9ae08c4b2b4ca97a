"""Damaged files of any kind: an answer or an error that names the file; never a hang, a crash, or
more memory than was declared."""

import gzip
import os
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medlight.core.errors import DataError, DataNotFoundError
from medlight.io.read import read_image, read_mask

RANDOM = np.random.default_rng(0)
LIMIT_MB = 8
ROUNDS = 250


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDLIGHT_READ_GB", str(LIMIT_MB / 1024))


def volume(shape: tuple[int, ...] = (12, 11, 10), dtype: str = "i2") -> bytes:
    values = RANDOM.integers(0, 3, shape).astype(dtype)
    return bytes(nib.Nifti1Image(values, np.eye(4)).to_bytes())


def with_shape(raw: bytes, shape: tuple[int, ...]) -> bytes:
    dims = np.array([len(shape), *shape, *(1,) * (7 - len(shape))], "<i2").tobytes()
    return raw[:40] + dims + raw[56:]


def damaged(content: bytes) -> Iterator[bytes]:
    """Cut short, bits flipped, bytes overwritten: most of it near the start, where headers are."""
    for _ in range(ROUNDS):
        broken = bytearray(content)
        match RANDOM.integers(4):
            case 0:
                broken = broken[: RANDOM.integers(len(broken))]
            case 1:
                broken[RANDOM.integers(len(broken))] ^= 1 << int(RANDOM.integers(8))
            case 2:
                broken[RANDOM.integers(min(352, len(broken)))] ^= 1 << int(RANDOM.integers(8))
            case _:
                start, count = RANDOM.integers(min(352, len(broken))), RANDOM.integers(1, 16)
                broken[start : start + count] = RANDOM.bytes(int(count))
        yield bytes(broken)


def pictures() -> dict[str, bytes]:
    from io import BytesIO

    held = {}
    grey = Image.fromarray(RANDOM.integers(0, 256, (20, 30)).astype("u1"))
    for name, kind in (("p.png", "PNG"), ("p.jpg", "JPEG"), ("p.tif", "TIFF"), ("p.bmp", "BMP")):
        grey.save(stream := BytesIO(), kind)
        held[name] = stream.getvalue()
    return held


FILES = {
    "v.nii": volume(),
    "v.nii.gz": gzip.compress(volume()),
    "inside.nii.gz": volume(),  # damage below the compression
    "scaled.nii": volume(dtype="f8"),
    **pictures(),
}


@pytest.mark.parametrize("name", FILES)
def test_damage_gives_an_answer_or_names_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    unnamed = 0
    tracemalloc.start()
    try:
        for content in damaged(FILES[name]):
            path.write_bytes(gzip.compress(content, 1) if name.startswith("inside") else content)
            for read in (read_image, read_mask):
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # Pillow's and nibabel's, about the damage
                        values, grid = read(path)
                except DataError as error:
                    unnamed += str(path) not in str(error)
                else:
                    assert values.shape[1:] == grid.shape[: values.ndim - 1]
                    assert np.isfinite(grid.affine).all()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert unnamed == 0
    assert peak < 8 * LIMIT_MB * 2**20, "voxels in the widest type and their copies"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (with_shape(volume(), (32000, 32000, 32000)), "at most"),
        (gzip.compress(with_shape(volume(), (32000, 32000, 32000))), "at most"),
        (gzip.compress(with_shape(volume(), (1000, 1000, 10)) + bytes(20_000_000)), "the limit of"),
        (gzip.compress(volume() + bytes(40_000_000)), "follow the voxels"),
        (with_shape(volume(), (0, 5, 5)), "declares the shape"),
        (with_shape(volume(), (-3, 5, 5)), "cannot be read"),
        (volume()[:300], "should hold 348"),
        (gzip.compress(volume())[:-4], "cannot be read"),
        (b"", "is empty"),
        (b"\x1f\x8b", "cannot be read"),
    ],
)
def test_bombs_and_promises(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "v.nii.gz"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        for read in (read_image, read_mask):
            with pytest.raises(DataError, match=rf"v\.nii\.gz: .*{told}.*(again|leave it out)"):
                read(path)
        assert tracemalloc.get_traced_memory()[1] < 3 * LIMIT_MB * 2**20
    finally:
        tracemalloc.stop()


def test_the_limit_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = with_shape(volume((200, 200, 100), "u1"), (200, 200, 100)) + bytes(6_000_000)
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(with_shape(raw, (200, 200, 240)), 1))
    with pytest.raises(DataError, match="set MEDLIGHT_READ_GB to a larger number"):
        read_image(tmp_path / "v.nii.gz")
    monkeypatch.setenv("MEDLIGHT_READ_GB", "1")
    assert read_image(tmp_path / "v.nii.gz")[0].shape == (1, 200, 200, 240)


def test_a_picture_that_declares_too_much(tmp_path: Path) -> None:
    raw = bytearray(FILES["p.bmp"])
    raw[18:26] = np.array([60000, 60000], "<i4").tobytes()
    (tmp_path / "p.bmp").write_bytes(raw)
    with pytest.raises(DataError, match=r"p\.bmp: cannot be read"):
        read_image(tmp_path / "p.bmp")


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "p.png"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "nowhere", "empty"])
def test_what_is_no_file(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "nowhere":
        path.symlink_to(tmp_path / "gone")
    else:
        path.touch()
    for read in (read_image, read_mask):
        with pytest.raises(DataNotFoundError if kind == "nowhere" else DataError, match=name):
            read(path)


@pytest.mark.parametrize("folder", ["with space", "Übergröße 脳", "it's;$(x)", "new\nline"])
@pytest.mark.parametrize("linked", [False, True])
def test_names_of_any_kind(tmp_path: Path, folder: str, linked: bool) -> None:
    place = tmp_path / folder
    place.mkdir()
    for name, content in FILES.items():
        path = place / f"é {name}"
        path.write_bytes(content)
        if linked:
            path = path.rename(place / "real")
            (place / f"é {name}").symlink_to(path)
            path = place / f"é {name}"
        assert read_image(path)[0].size
