"""Pictures in and out: depth, colour, palettes, damage."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.grid import Grid
from medlight.io.read import read_image, read_mask
from medlight.io.write import write_mask
from medlight.transforms.radiograph import with_channels

GREY = np.random.default_rng(0).integers(0, 256, (12, 17)).astype("u1")
GREY[0, :2] = 0, 255


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.bmp", "a.tif"])
def test_grey(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / name)
    image, grid = read_image(tmp_path / name)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image[0], GREY.astype("f4") / 255)
    assert (image.min(), image.max()) == (0, 1)
    assert grid == Grid((12, 17))


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG"])
def test_jpeg_is_what_pil_decodes(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        np.testing.assert_array_equal(
            read_image(tmp_path / name)[0][0], np.asarray(picture) / np.float32(255)
        )


def test_sixteen_bits(tmp_path: Path) -> None:
    deep = GREY.astype("u2") * 257
    deep[3, 3] = 1234
    Image.fromarray(deep).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_image(tmp_path / "a.png")[0][0], deep / 65535, rtol=1e-6)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png")[0][0], deep)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_grey_stored_as_colour_is_three_times_the_same_grey(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(GREY).convert(mode)
    if mode != "RGB":
        picture.putalpha(Image.fromarray(255 - GREY))
    picture.save(tmp_path / "a.png")
    image, _ = read_image(tmp_path / "a.png")
    assert len(image) == (1 if mode == "LA" else 3)
    for channel in image:
        np.testing.assert_array_equal(channel, GREY / np.float32(255))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png")[0][0], GREY)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_are_channels(tmp_path: Path, mode: str, suffix: str) -> None:
    if (mode, suffix) == ("CMYK", ".png"):
        return
    colours = np.random.default_rng(0).integers(0, 255, (5, 4, 3)).astype(np.uint8)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(colours).convert(mode).save(path)
    image, grid = read_image(path)
    assert grid.shape == (5, 4)
    with Image.open(path) as file:
        expected = np.asarray(file.convert("RGB"))
    np.testing.assert_array_equal(image, np.moveaxis(expected, -1, 0) / np.float32(255))
    if mode != "P":
        with pytest.raises(DataError, match=r"a\.(png|tif): .*colour"):
            read_mask(path)


def test_luminance_is_what_pillow_gives(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (64, 48, 3)).astype(np.uint8)
    image = torch.from_numpy(np.moveaxis(colours, -1, 0) / np.float32(255))
    expected = np.asarray(Image.fromarray(colours).convert("L")) / np.float32(255)
    np.testing.assert_array_equal(with_channels(image, 1)[0], expected)
    grey = with_channels(image, 1)
    np.testing.assert_array_equal(with_channels(grey, 3), np.stack([expected] * 3))
    with pytest.raises(DataError, match="2 channels"):
        with_channels(image[:2], 1)


def test_palette(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    labels = (GREY % 3).astype("u1")
    picture = Image.fromarray(labels).convert("P")
    picture.putdata(labels.ravel().tolist())
    picture.putpalette([0, 0, 0, 255, 255, 255, 51, 51, 51])
    picture.save(tmp_path / "a.png", transparency=bytes([0, 255, 255]))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png")[0][0], labels)
    np.testing.assert_allclose(
        read_image(tmp_path / "a.png")[0][0], np.choose(labels, [0, 1, 0.2]), atol=1e-6
    )
    assert not recwarn


def test_one_bit(tmp_path: Path) -> None:
    bits = GREY > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0][0], bits)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png")[0][0], bits)


@pytest.mark.parametrize("name", ["a.png", "a.jpeg"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "folder"])
def test_damage_is_one_clear_error(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64)).astype("u1")).save(path)
    good = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(
            {"truncated": good[: len(good) // 2], "empty": b"", "text": b"<html>" * 99}[damage]
        )
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=rf"{name}: .*again"):
            read(path)


def test_missing_and_unknown(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no such file"):
        read_image(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.xyz: unknown format; medlight reads .*\.nii"):
        read_image(tmp_path / "a.xyz")


def test_mask_comes_back(tmp_path: Path) -> None:
    write_mask(tmp_path / "deep" / "m.png", GREY, Grid((12, 17)))
    np.testing.assert_array_equal(read_mask(tmp_path / "deep" / "m.png")[0][0], GREY)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["m.png"]
