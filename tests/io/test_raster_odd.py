"""Pictures that were misread in silence: floats, stacks, lying photographs, more than 8 bits."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from medlight.core.errors import DataError
from medlight.io.read import read_image, read_mask, read_raw

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (12, 17)).astype("u1")
HOUNSFIELD = (GREY.astype("f4") * 4 - 200) / 3
ORIENTATION = 0x0112


@pytest.mark.parametrize(
    "values",
    [
        (GREY / 255).astype("f4"),
        HOUNSFIELD,
        GREY.astype("i4") * 1000 - 70_000,
        GREY.astype("i4") * 1000,
    ],
    ids=["float01", "float_hu", "int32", "int32_positive"],
)
def test_floats_and_32_bits_are_taken_as_they_are(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(values).save(path)
    np.testing.assert_array_equal(read_image(path)[0][0], values.astype("f4"))
    raw = read_raw(path)
    np.testing.assert_array_equal(raw.values, values)
    assert raw.dtype_name == values.dtype.name


def tiff(path: Path, values: np.ndarray, sample_format: int | None, photometric: int = 1) -> Path:
    """Write a TIFF of types that Pillow reads but does not write."""
    bits = 8 * values.dtype.itemsize
    tags = [
        (256, values.shape[1]), (257, values.shape[0]), (258, bits), (259, 1), (262, photometric),
        (273, 8), (277, 1), (278, values.shape[0]), (279, values.nbytes),
        *([] if sample_format is None else [(339, sample_format)]),
    ]  # fmt: skip
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little")
        for tag, value in tags
    )
    start = 8 + values.nbytes
    head = b"II*\0" + start.to_bytes(4, "little") + values.tobytes()
    path.write_bytes(head + len(tags).to_bytes(2, "little") + entries + b"\0" * 4)
    return path


def test_signed_and_unsigned_tiff(tmp_path: Path) -> None:
    """As tifffile reads them: Pillow takes signed bytes for unsigned, and wraps 32 bits."""
    signed = GREY.view("i1")
    np.testing.assert_array_equal(
        read_image(tiff(tmp_path / "a.tif", signed, 2))[0][0], signed.astype("f4")
    )
    large = GREY.astype("u4") * 2**24
    np.testing.assert_array_equal(
        read_image(tiff(tmp_path / "b.tif", large, 1))[0][0], large.astype("f4")
    )
    np.testing.assert_array_equal(read_mask(tmp_path / "b.tif")[0][0], large)
    untold = tiff(tmp_path / "d.tif", large, None)  # unsigned by default, and tifffile says no more
    np.testing.assert_array_equal(read_mask(untold)[0][0], large)
    short = GREY.astype("i2") - 128
    np.testing.assert_array_equal(
        read_image(tiff(tmp_path / "c.tif", short, 2))[0][0], short.astype("f4")
    )


def test_white_is_zero_is_not_turned(tmp_path: Path) -> None:
    for name, values in (("a.tif", GREY), ("b.tif", GREY.astype("u2") * 257)):
        path = tiff(tmp_path / name, values, 1, photometric=0)
        np.testing.assert_array_equal(read_mask(path)[0][0], values)
        np.testing.assert_allclose(read_image(path)[0][0], GREY / 255, atol=1e-6)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_several_pictures_in_one_file_are_refused(tmp_path: Path, name: str) -> None:
    blank = Image.new("L", (17, 12))
    blank.save(tmp_path / name, save_all=True, append_images=[Image.fromarray(GREY)] * 5)
    for read in (read_image, read_mask, read_raw):
        with pytest.raises(DataError, match=rf"{name}: it holds 6 pictures, .* save each"):
            read(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_orientation_is_applied(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / name
    Image.fromarray(GREY).save(path, exif=exif)
    # Not from the path: Pillow 13 turns lying TIFFs wrongly where it maps the file.
    with Image.open(BytesIO(path.read_bytes())) as picture:
        picture.load()  # which turns a TIFF already
        upright = np.asarray(ImageOps.exif_transpose(picture))
    assert upright.shape == (GREY.shape if orientation < 5 else GREY.shape[::-1])
    image, grid = read_image(path)
    np.testing.assert_allclose(image[0], upright / 255, atol=1e-6)
    np.testing.assert_array_equal(read_mask(path)[0][0], upright)
    np.testing.assert_array_equal(read_raw(path).values, upright)
    assert grid.shape == upright.shape


def test_16_bits_a_colour_are_refused(tmp_path: Path) -> None:
    """Pillow would keep the upper eight."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    for colour_type, channels in ((2, 3), (4, 2), (6, 4)):
        rows = b"".join(b"\0" + bytes(2 * channels * 3) for _ in range(2))
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 16, colour_type, 0, 0, 0))
        (tmp_path / "a.png").write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + header
            + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b"")
        )
        for read in (read_image, read_raw):
            with pytest.raises(DataError, match="16 bits a colour"):
                read(tmp_path / "a.png")


def test_an_audit_sees_what_the_net_sees(tmp_path: Path) -> None:
    """Of a palette an image is the colours, a mask the indices."""
    picture = Image.fromarray(GREY % 3).convert("P")
    picture.putdata((GREY % 3).ravel().tolist())
    picture.putpalette([0, 0, 0, 255, 255, 255, 51, 51, 51])
    picture.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")[0][0]
    np.testing.assert_allclose(read_raw(tmp_path / "a.png").values / 255, image, atol=1e-6)
    np.testing.assert_array_equal(read_raw(tmp_path / "a.png", mask=True).values, GREY % 3)


def test_a_float_mask_is_whole_or_refused(tmp_path: Path) -> None:
    Image.fromarray((GREY % 3).astype("f4")).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif")[0][0], GREY % 3)
    Image.fromarray(HOUNSFIELD).save(tmp_path / "b.tif")
    with pytest.raises(DataError, match=r"b\.tif: a mask holds whole numbers"):
        read_mask(tmp_path / "b.tif")


def test_large_pictures_have_our_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDLIGHT_READ_GB", "0.0001")
    Image.fromarray(np.zeros((300, 200), "u1")).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="MEDLIGHT_READ_GB"):
        read_image(tmp_path / "a.png")
    assert Image.MAX_IMAGE_PIXELS is None


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("lost", [False, True])
def test_a_tiff_whose_strips_do_not_cover_it_is_refused(
    tmp_path: Path, planes: int, *, lost: bool
) -> None:
    """The rows of strips that were not listed were read as 0, and 142 bytes as 600 million."""
    image, rows = RANDOM.integers(1, 256, (planes, 6, 5)).astype("u1"), 2
    strips = [plane[top : top + rows].tobytes() for plane in image for top in range(0, 6, rows)]
    numbers = {256: 5, 257: 6, 258: 8, 259: 1, 262: planes - (planes == 3), 277: planes,
               278: rows, 284: 2 if planes == 3 else 1}  # fmt: skip
    bits = {258: (8,) * planes}
    starts = np.cumsum([8, *map(len, strips)])[: len(strips) - lost].tolist()
    tags = {**{k: (v,) for k, v in numbers.items()}, **bits, 273: tuple(starts),
            279: (rows * 5,) * len(starts)}  # fmt: skip
    body, at = b"".join(strips), 8 + len(b"".join(strips))
    entries, extra, after = b"", b"", at + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            extra, packed = extra + packed, struct.pack("<I", after + len(extra))
        entries += struct.pack("<HHI", tag, 4, len(values)) + packed
    head = b"II*\0" + struct.pack("<I", at)
    path = tmp_path / "a.tif"
    path.write_bytes(head + body + struct.pack("<H", len(tags)) + entries + bytes(4) + extra)
    if lost:
        with pytest.raises(DataError, match=r"a\.tif: .* of its 5 x 6 pixels"):
            read_image(path)
    else:
        np.testing.assert_array_equal(read_image(path)[0], image / np.float32(255))
