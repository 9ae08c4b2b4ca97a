"""NRRD and MetaImage: what SimpleITK reads of them, and what 3D Slicer wrote."""

from pathlib import Path

import numpy as np
import pytest

from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.grid import Grid
from medlight.io.metaimage import write_meta
from medlight.io.nrrd import write_nrrd
from medlight.io.read import read_image, read_mask, read_place, read_raw

RANDOM = np.random.default_rng(0)
WRITERS = {".nrrd": write_nrrd, ".mha": write_meta}


def oblique(shape: tuple[int, ...]) -> Grid:
    turn, _ = np.linalg.qr(RANDOM.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn * [0.7, 1.2, 3.1]
    affine[:3, 3] = [-31.5, 12.25, 400.0]
    return Grid(shape, affine)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str, dtype: str) -> None:
    grid = oblique((5, 6, 7))
    values = (100 * RANDOM.random(grid.shape)).astype(dtype)
    path = tmp_path / f"a{suffix}"
    WRITERS[suffix](path, values, grid)
    image, found = read_image(path)
    np.testing.assert_allclose(image[0], values, rtol=1e-6)
    np.testing.assert_allclose(found.affine, grid.affine, atol=1e-12)
    assert read_place(path)[0].shape == grid.shape
    raw = read_raw(path)
    assert raw.dtype_name == np.dtype(dtype).name
    np.testing.assert_array_equal(raw.values, values)
    if dtype[0] != "f":
        np.testing.assert_array_equal(read_mask(path)[0][0], values)
    else:
        with pytest.raises(DataError, match="whole numbers"):
            read_mask(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["volume", "colour", "flat", "big numbers"])
def test_simpleitk_reads_the_same(tmp_path: Path, suffix: str, packed: bool, kind: str) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="the extra oracles is not installed")
    shape = {"flat": (9, 8), "colour": (4, 5, 6, 3)}.get(kind, (4, 5, 6))
    values = RANDOM.integers(-30000 if kind == "big numbers" else 0, 255, shape)
    values = values.astype(np.int16 if kind == "big numbers" else np.uint8)
    picture = sitk.GetImageFromArray(values, isVector=kind == "colour")
    n = picture.GetDimension()
    if n == 3:
        turn, _ = np.linalg.qr(RANDOM.normal(size=(3, 3)))
        picture.SetDirection((turn * np.sign(np.linalg.det(turn))).ravel().tolist())
    picture.SetSpacing([0.5, 1.5, 2.5][:n])
    picture.SetOrigin([10.0, -20.0, 30.0][:n])
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(picture, str(path), useCompression=packed)
    read = sitk.ReadImage(str(path))
    image, grid = read_image(path)
    expected = sitk.GetArrayFromImage(read)
    expected = np.moveaxis(expected, -1, 0) if kind == "colour" else expected[np.newaxis]
    np.testing.assert_array_equal(image, np.moveaxis(expected, range(1, n + 1), range(n, 0, -1)))
    for index in ((0, 0, 0), (1, 2, 3), (3, 1, 2)):
        world = np.zeros(3)
        world[:n] = read.TransformIndexToPhysicalPoint(index[:n])
        voxel = [*index[:n], *[0] * (3 - n)]
        np.testing.assert_allclose(grid.to_world([voxel])[0], world * [-1, -1, 1], atol=1e-4)


@pytest.mark.parametrize("suffix", WRITERS)
def test_simpleitk_reads_what_is_written(tmp_path: Path, suffix: str) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="the extra oracles is not installed")
    grid = oblique((5, 6, 7))
    values = RANDOM.integers(0, 4, grid.shape).astype(np.uint8)
    WRITERS[suffix](tmp_path / f"a{suffix}", values, grid)
    read = sitk.ReadImage(str(tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read).T, values)
    world = np.array(read.TransformIndexToPhysicalPoint((4, 2, 5)))
    np.testing.assert_allclose(world * [-1, -1, 1], grid.to_world([[4, 2, 5]])[0], atol=1e-9)


HEAD = ("NRRD0004\ntype: uchar\ndimension: 3\nspace: RAS\nsizes: 2 2 2\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nendian: little\nencoding: raw\n")  # fmt: skip
META = "NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.nrrd", b"", "is empty"),
        ("a.nrrd", b"GIF89a", "a.nrrd: cannot be read"),
        ("a.nrrd", HEAD.encode() + b"\n1234567", "should hold 8 bytes of voxels, but holds 7"),
        ("a.nrrd", HEAD.replace("RAS", "3D-right-handed").encode() + b"\n12345678", "the space"),
        ("a.nrrd", HEAD.replace("(1,0,0)", "(0,1,0)").encode() + b"\n12345678", "span space"),
        ("a.nrrd", HEAD.replace("2 2 2", "99999 99999 99").encode() + b"\n1", "more than the"),
        ("a.nrrd", HEAD.encode() + b"data file: /etc/passwd\n\n", "put them beside it"),
        ("a.nhdr", HEAD.encode() + b"data file: ../b.raw\n\n", "put them beside it"),
        ("a.nhdr", HEAD.encode() + b"data file: b.raw\n\n", "b.raw: there is no such file"),
        ("a.nhdr", HEAD.encode() + b'space units: "furlong"\n\n12345678', "units furlong"),
        ("a.mha", b"", "is empty"),
        ("a.mha", b"NDims = 3\n", "a.mha: cannot be read"),
        ("a.mha", META.encode() + b"ElementDataFile = LOCAL\n1234567", "but holds 7"),
        ("a.mha", META.encode() + b"ElementDataFile = LIST\nb.raw\n", "several files"),
        ("a.mhd", META.encode() + b"ElementDataFile = /etc/passwd\n", "put them beside it"),
        ("a.mhd", META.encode() + b"ElementDataFile = b.raw\n", "b.raw: there is no such file"),
        ("a.mha", META.replace("UCHAR", "BLOB").encode() + b"ElementDataFile = LOCAL\n", "BLOB"),
        ("a.mha", META.replace("2 2 2", "2 2").encode() + b"ElementDataFile = LOCAL\n", "DimSize"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((DataError, DataNotFoundError), match=message):
        read_image(tmp_path / name)


SPACE = "space directions: (1,0,0) (0,2,0) (0,0,3)\n"
ODD = {
    "spacings.nrrd": "spacings: 1 2 3\n",
    "no place.nrrd": "endian: little\n",
    "las.nrrd": f"space: left-anterior-superior\n{SPACE}space origin: (1,2,3)\n",
    "flipped.nrrd": "space: LPS\nspace directions: (-1,0,0) (0,0,2) (0,3,0)\n",
    "nodes.nrrd": f"space: LPS\n{SPACE}centerings: node node node\n",
    "axis mins.nrrd": "spacings: 1 2 3\naxis mins: 5 6 7\n",
    "scanner.nrrd": f"space: scanner-xyz\n{SPACE}space origin: (1,2,3)\n",
    "unnamed.nrrd": f"space dimension: 3\n{SPACE}space origin: (1,2,3)\n",
    "size.mha": "ElementSize = 1 2 3\n",
    "two sizes.mha": "ElementSpacing = 1 2 3\nElementSize = 4 5 6\n",
    "anatomical.mha": "AnatomicalOrientation = RAS\nOffset = 1 2 3\nElementSpacing = 1 2 3\n",
    "position.mha": "Position = 1 2 3\n",
    "turned.mha": "Orientation = 0 1 0 1 0 0 0 0 1\nOffset = 1 2 3\nElementSpacing = 1 2 3\n",
    "mirrored.mha": "TransformMatrix = -1 0 0 0 1 0 0 0 1\n",
}
REFUSED = {"axis mins.nrrd", "scanner.nrrd", "unnamed.nrrd"}


@pytest.mark.parametrize("name", ODD)
def test_odd_headers_are_read_as_simpleitk_does_or_refused(tmp_path: Path, name: str) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="the extra oracles is not installed")
    start = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\nencoding: raw\n"
    text = f"{start}{ODD[name]}\n"
    if name.endswith(".mha"):
        start = "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\n"
        text = f"{start}{ODD[name]}ElementDataFile = LOCAL\n"
    (tmp_path / name).write_bytes(text.encode() + bytes(range(24)))
    if name in REFUSED:
        with pytest.raises(DataError, match=name):
            read_image(tmp_path / name)
        return
    theirs = sitk.ReadImage(str(tmp_path / name))
    image, grid = read_image(tmp_path / name)
    np.testing.assert_array_equal(image[0], sitk.GetArrayFromImage(theirs).T)
    world = np.array(theirs.TransformIndexToPhysicalPoint((1, 2, 3))) * [-1, -1, 1]
    np.testing.assert_allclose(grid.to_world([[1, 2, 3]])[0], world, atol=1e-9)


def test_units_and_spaces_of_nrrd(tmp_path: Path) -> None:
    head = HEAD.replace("RAS", "left-anterior-superior")
    text = head + 'space origin: (5,6,7)\nspace units: "um" "um" "um"\n\n'
    (tmp_path / "a.nrrd").write_bytes(text.encode() + bytes(range(8)))
    image, grid = read_image(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(image[0].ravel(order="F"), range(8))
    np.testing.assert_allclose(grid.to_world([[1, 1, 1]])[0], np.array([-6, 7, 8]) / 1000)


@pytest.mark.data
def test_real_files_are_what_simpleitk_reads(real_data: Path) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="the extra oracles is not installed")
    found = [*real_data.glob("samples/**/*.nrrd"), *real_data.glob("samples/**/*.mh[ad]")]
    read = 0
    for path in found:
        try:
            theirs = sitk.ReadImage(str(path))
            image, grid = read_image(path)
        except (RuntimeError, DataError):
            continue
        read += 1
        values = sitk.GetArrayFromImage(theirs)
        if theirs.GetNumberOfComponentsPerPixel() == 1:
            np.testing.assert_array_equal(image[0], values.T)
        corner = [n - 1 for n in grid.shape]
        world = np.array(theirs.TransformIndexToPhysicalPoint(corner)) * [-1, -1, 1]
        np.testing.assert_allclose(grid.to_world([corner])[0], world, atol=1e-3)
    assert read > 10
