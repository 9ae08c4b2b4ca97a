"""How far what is stored may lie from what was prepared, and that it never changes unseen."""

import hashlib
import sys
from typing import Any

import numpy as np
import pytest

from medlight.core.errors import MissingExtraError
from medlight.core.grid import Grid
from medlight.io.store.case_file import PreparedCase, read_case_header, write_case_file
from medlight.io.store.codec import Encoded, encode_image, encode_mask, pack_array, unpack_array
from medlight.io.store.store import STORE_VERSION

RANDOM = np.random.default_rng(0)
GOLDEN = {"version": 4, "none": "bb16eb27b024c8bc"}
"""Where these hashes change, what is stored of the same file has changed: raise STORE_VERSION,
and write the new ones down."""


def decoded(encoded: Encoded) -> np.ndarray:
    spatial = (-1, *(1,) * (encoded.values.ndim - 1))
    values = encoded.values.astype(np.float32)
    return values * encoded.scale.reshape(spatial) + encoded.shift.reshape(spatial)


IMAGES = {
    "noise": RANDOM.normal(size=(2, 9, 9, 9)),
    "skewed": np.exp(RANDOM.normal(size=(1, 20, 20, 20)) * 3),
    "far from zero": 1e5 + RANDOM.normal(size=(1, 9, 9)),
    "constant": np.full((1, 4, 4), 0.3),
    "huge": RANDOM.normal(size=(1, 9, 9)) * 1e6,
    "one flat channel": np.stack([RANDOM.normal(size=(4, 4)), np.full((4, 4), 7.5)]),
}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_int16_is_within_a_step_of_the_range(image: np.ndarray) -> None:
    image = image.astype(np.float32)
    encoded = encode_image(image, "int16")
    assert encoded.values.dtype == np.int16
    span = np.ptp(image.reshape(len(image), -1), axis=1)
    bound = span / 130_000 + np.abs(image).max() * 2e-7  # float32 itself
    error = np.abs(decoded(encoded) - image).reshape(len(image), -1).max(axis=1)
    assert (error <= bound).all(), error / bound


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_float16_is_within_a_part_of_the_value(image: np.ndarray) -> None:
    image = image.astype(np.float32)
    encoded = encode_image(image, "float16")
    assert encoded.values.dtype == np.float16
    error = np.abs(decoded(encoded) - image)
    assert (error <= np.abs(image) / 2047 + 1e-6 * np.abs(image).max()).all()


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_float32_is_exact(image: np.ndarray) -> None:
    image = image.astype(np.float32)
    np.testing.assert_array_equal(decoded(encode_image(image, "float32")), image)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("depth", ["int16", "float16", "float32"])
@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (RANDOM.integers(0, 256, (1, 9, 9)), np.uint8),
        (RANDOM.integers(-1024, 3072, (1, 9, 9, 9)), np.int16),
        (RANDOM.integers(0, 256, (1, 9, 9)) / np.float32(255), np.uint8),
        (np.zeros((1, 4, 4)), np.uint8),
        (RANDOM.integers(-32768, 32768, (1, 9, 9, 9)), np.int16),
    ],
)
def test_whole_numbers_and_pictures_are_exact(
    image: np.ndarray, kind: type, depth: Any, align: bool
) -> None:
    image = image.astype(np.float32)
    encoded = encode_image(image, depth, align=align)
    assert encoded.values.dtype == kind
    np.testing.assert_allclose(decoded(encoded), image, rtol=1e-7, atol=0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(wrong: float) -> None:
    image = np.zeros((1, 4, 4), np.float32)
    image[0, 1, 1] = wrong
    with pytest.raises(ValueError, match="nan or infinite"):
        encode_image(image, "int16")


@pytest.mark.parametrize(("most", "kind"), [(1, np.uint8), (255, np.uint8), (256, np.int16)])
def test_masks_take_the_room_they_need(most: int, kind: type) -> None:
    mask = np.array([[[0, most]]])
    assert encode_mask(mask).dtype == kind
    np.testing.assert_array_equal(encode_mask(mask), mask)


def test_labels_beyond_int16() -> None:
    with pytest.raises(ValueError, match="32767"):
        encode_mask(np.array([[[0, 40_000]]]))


@pytest.mark.parametrize("codec", ["none", "blosc2"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float16, np.float32])
@pytest.mark.parametrize("shape", [(1, 5, 7), (2, 70, 33, 65)])
def test_packing_keeps_every_voxel(codec: Any, kind: type, shape: tuple[int, ...]) -> None:
    if codec == "blosc2":
        pytest.importorskip("blosc2")
    values = RANDOM.integers(0, 100, shape).astype(kind)
    content = memoryview(bytes(pack_array(values, codec)))
    view = unpack_array(content, values.dtype, shape, codec)
    np.testing.assert_array_equal(view[...], values)
    part = (slice(None), slice(1, 4), slice(2, 30))
    np.testing.assert_array_equal(view[part], values[part])


def test_without_blosc2_the_message_says_what_to_install(monkeypatch: Any) -> None:
    from medlight.io.store import codec as pixels

    monkeypatch.setitem(sys.modules, "blosc2", None)
    pixels._blosc2.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'medlight\[blosc2\]'"):
        pixels.check_settings("blosc2", "int16")
    pixels._blosc2.cache_clear()


def test_golden_hashes_guard_the_version(tmp_path: Any) -> None:
    random = np.random.default_rng(0)
    image = random.normal(size=(2, 6, 5, 4)).astype(np.float32)
    grid = Grid((6, 5, 4), np.diag([1, 2, 3, 1.0]))
    mask = random.integers(0, 3, (1, 6, 5, 4))
    prepared = PreparedCase(image=image, mask=mask, source_grid=grid, grid=grid, label_range=(0, 2))
    encoded = encode_image(image, "int16")
    write_case_file(
        tmp_path / "a.case", {"set": "s", "case": "a"}, prepared, encoded, encode_mask(mask), "none"
    )
    voxels = (tmp_path / "a.case").read_bytes()[-read_case_header(tmp_path / "a.case").nbytes :]
    found = hashlib.sha256(voxels).hexdigest()[:16]
    assert {"version": STORE_VERSION, "none": found} == GOLDEN


def test_what_is_small_beside_the_largest_stays() -> None:
    """k-space: a peak of 1 over values of a millionth, which a step of int16 would make 0."""
    random = np.random.default_rng(0)
    image = random.normal(0, 1e-6, (2, 32, 32)).astype(np.float32)
    image[0, 16, 16] = 1.0
    encoded = encode_image(image, "int16")
    assert encoded.values.dtype == np.float32
    np.testing.assert_array_equal(encoded.values * encoded.scale[0] + encoded.shift[0], image)
    smooth = random.random((1, 32, 32)).astype(np.float32)
    smooth[:, ::2] = 0  # a background of 0 is not small, but 0
    assert encode_image(smooth, "int16").values.dtype == np.int16
