"""Parts of files: what a `FileRef` names is what NumPy, h5py or Pillow read of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medlight.core.errors import DataError
from medlight.core.file_ref import FileRef, ref_text
from medlight.io import arrays
from medlight.io.read import read_image, read_mask, read_raw

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "grey": RANDOM.integers(0, 256, (5, 6, 7)).astype(np.uint8),
    "colour": RANDOM.integers(0, 256, (5, 6, 7, 3)).astype(np.uint8),
    "volume": RANDOM.integers(0, 256, (5, 6, 7, 8)).astype(np.uint8),
    "floats": RANDOM.normal(size=(5, 6, 7)).astype(np.float32),
    "channels": RANDOM.normal(size=(5, 6, 7, 8, 2)).astype(np.float32),
}


def part(path: Path, text: str) -> FileRef:
    return FileRef.parse(ref_text(path.name, text), path.parent)


@pytest.fixture(params=["npz", "packed.npz", "h5", "mapped.npz"])
def archive(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    path = tmp_path / f"a.{request.param}"
    if path.suffix == ".h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for name, values in ARRAYS.items():
                file[f"group/{name}"] = values
    else:
        save = np.savez_compressed if "packed" in request.param else np.savez
        save(path, **{f"group/{name}": values for name, values in ARRAYS.items()})
    if "mapped" in request.param:
        monkeypatch.setattr(arrays, "_IN_MEMORY", 0)
        arrays._unpacked.cache_clear()
    return path


@pytest.mark.parametrize("name", ARRAYS)
def test_a_row_is_an_image(archive: Path, name: str) -> None:
    for row in (0, 3, 4):
        ref = part(archive, f"group/{name}[{row}]")
        image, grid = read_image(ref)
        expected = ARRAYS[name][row].astype(np.float32)
        if name in ("grey", "colour"):
            expected = expected / 255
        if expected.ndim > grid.ndim:
            expected = np.moveaxis(expected, -1, 0)
        else:
            expected = expected[np.newaxis]
        np.testing.assert_allclose(image, expected, rtol=1e-6)
        assert grid.shape == expected.shape[1:]
        raw = read_raw(ref)
        np.testing.assert_array_equal(raw.values, ARRAYS[name][row])


def test_a_row_is_a_mask(archive: Path) -> None:
    mask, _ = read_mask(part(archive, "group/grey[2]"))
    np.testing.assert_array_equal(mask[0], ARRAYS["grey"][2])
    with pytest.raises(DataError, match="whole numbers"):
        read_mask(part(archive, "group/floats[2]"))
    with pytest.raises(DataError, match="one number a voxel"):
        read_mask(part(archive, "group/colour[2]"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("group/grey[5]", "there is no row 5"),
        ("other[0]", "no array 'other'; it holds .*group/grey"),
        ("grey]0[", "expected a part such as"),
        ("", "no array ''"),
    ],
)
def test_what_is_not_there_is_named(archive: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_image(part(archive, text))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{}, {}], dtype=object))
    with pytest.raises(DataError, match="not numbers"):
        read_image(part(tmp_path / "a.npz", "x[0]"))


def test_pages_of_a_picture(tmp_path: Path) -> None:
    pages = [Image.fromarray(values) for values in ARRAYS["grey"]]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    for row in (0, 4):
        image, _ = read_image(part(tmp_path / "a.tif", f"[{row}]"))
        np.testing.assert_array_equal(image[0], ARRAYS["grey"][row] / np.float32(255))
    with pytest.raises(DataError, match="there is no page 5; it holds 5"):
        read_image(part(tmp_path / "a.tif", "[5]"))
    with pytest.raises(DataError, match="holds 5 pictures"):
        read_image(tmp_path / "a.tif")


def test_several_files_are_channels(tmp_path: Path) -> None:
    names = []
    for number in range(3):
        names.append(f"a_{number:04d}.png")
        Image.fromarray(ARRAYS["grey"][number]).save(tmp_path / names[-1])
    ref = FileRef.parse(ref_text(names), tmp_path)
    image, _ = read_image(ref)
    np.testing.assert_array_equal(image, ARRAYS["grey"][:3] / np.float32(255))
    np.testing.assert_array_equal(
        np.moveaxis(read_raw(ref).values, -1, 0), ARRAYS["grey"][:3].astype(float)
    )
    Image.new("L", (3, 3)).save(tmp_path / names[1])
    with pytest.raises(DataError, match=r"a_0001\.png does not lie on the grid of a_0000\.png"):
        read_image(ref)


def test_numbers_in_other_files_are_not_opened(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(range(48)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (2, 4, 6), "u1", external=[(str(secret), 0, 48)])
        file["y"] = h5py.ExternalLink("b.h5", "/x")
    with pytest.raises(DataError, match="lie in other files"):
        read_image(part(tmp_path / "a.h5", "x[0]"))
    with pytest.raises(DataError, match="no array 'y'; it holds x"):
        read_image(part(tmp_path / "a.h5", "y[0]"))


def test_the_limit_counts_what_a_row_becomes(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ARRAYS["volume"][0]
    monkeypatch.setenv("MEDLIGHT_READ_GB", str(9 * row.size / 2**30))
    read_image(part(archive, "group/volume[0]"))
    monkeypatch.setenv("MEDLIGHT_READ_GB", str(8 * row.size / 2**30))
    with pytest.raises(DataError, match="more than the limit"):
        read_image(part(archive, "group/volume[0]"))


def test_complex_numbers_are_two_channels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    parts = random.normal(0, 1, (2, 4, 8, 6, 2)).astype(np.float32)
    values = parts[..., 0] + 1j * parts[..., 1]  # 2 slices of (4, 8, 6) complex64
    np.save(tmp_path / "k.npy", values)
    image, grid = read_image(FileRef((tmp_path / "k.npy",), "[1]"))
    assert grid.shape == (4, 8, 6)
    np.testing.assert_array_equal(image, np.stack([values[1].real, values[1].imag]))
    assert read_raw(FileRef((tmp_path / "k.npy",), "[1]")).dtype_name == "float32"
    with pytest.raises(DataError, match="one number a voxel, got 2"):
        read_mask(FileRef((tmp_path / "k.npy",), "[1]"))


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_names_of_arrays_stay_on_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "npz":
        np.savez(path, **{"im\nages": np.zeros(3)})
    else:
        with pytest.importorskip("h5py").File(path, "w") as file:
            file["im\nages"] = np.zeros(3)
    with pytest.raises(DataError, match=r"no array 'images'; it holds im\\nages$"):
        read_image(FileRef((path,), "images"))
