"""Files that lie elsewhere, by addresses of fsspec: the same numbers as here, or one line."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from medlight.audit.audit import audit
from medlight.core.errors import DataError, DataNotFoundError, MissingExtraError
from medlight.core.file_ref import FileRef, as_path, ref_text
from medlight.core.grid import Grid
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.data.datamodule import DataModule
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.nnunet import NNUNetDataModule
from medlight.io.inputs import find_inputs
from medlight.io.itk import file_beside
from medlight.io.manifest import snapshot, verify_manifest
from medlight.io.read import is_volume, read_image, read_mask, read_place, read_raw
from medlight.io.write import write_channel
from medlight.transforms.radiograph import Radiograph

VALUES = np.random.default_rng(0).integers(0, 200, (6, 7, 8)).astype(np.uint8)
FILES = ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.png", "a.tif", "a.npy", "a.npz", "a.h5"]
FILES += ["d.mhd"]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    grid = Grid(VALUES.shape, np.diag([2.0, 1.0, 3.0, 1.0]))
    for name in ("a.nii", "a.nii.gz", "a.nrrd", "a.mha"):
        write_channel(folder / name, VALUES, grid)
    for name in ("a.png", "a.tif"):
        Image.fromarray(VALUES[0]).save(folder / name)
    np.save(folder / "a.npy", VALUES)
    np.savez(folder / "a.npz", VALUES)
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file["a"] = VALUES
    (folder / "d.raw").write_bytes(VALUES.tobytes())
    (folder / "d.mhd").write_text(
        "NDims = 3\nDimSize = 8 7 6\nElementType = MET_UCHAR\nElementDataFile = d.raw\n"
    )
    return folder


@pytest.fixture(scope="module")
def memory(here: Path) -> str:
    system = fsspec.filesystem("memory")
    for file in here.iterdir():
        system.pipe(f"/set/{file.name}", file.read_bytes())
    return "memory://set"


@pytest.fixture(scope="module")
def http(here: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(here)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", ["memory", "http"])
def test_what_is_read_is_what_is_read_here(
    name: str, place: str, here: Path, request: pytest.FixtureRequest
) -> None:
    address = f"{request.getfixturevalue(place)}/{name}"
    for read in (read_image, read_mask):
        (values, grid), (expected, expected_grid) = read(address), read(here / name)
        np.testing.assert_array_equal(values, expected)
        assert grid == expected_grid
    assert read_raw(address).sha256 == read_raw(here / name).sha256
    if is_volume(here / name):
        assert read_place(as_path(address)) == read_place(here / name)


def test_files_elsewhere_are_channels_and_inputs(memory: str, http: str, here: Path) -> None:
    image, _ = read_image([f"{memory}/a.nrrd", f"{http}/a.mha", here / "a.nii"])
    np.testing.assert_array_equal(image, np.stack([VALUES.astype(np.float32)] * 3))
    [case] = find_inputs([f"{http}/a.nii.gz", f"{http}/a.nii.gz"], channels=1, spatial_dims=3)
    assert (case.name, str(case.files[0])) == ("a", f"{http}/a.nii.gz")
    with pytest.raises(DataNotFoundError, match="name each file"):
        find_inputs(f"{memory}/*.nii", channels=1, spatial_dims=3)


@pytest.mark.parametrize("name", FILES)
def test_what_is_not_there_is_named(name: str, memory: str, http: str) -> None:
    for place in (memory, http):
        address = f"{place}/none/{name}"
        with pytest.raises(DataNotFoundError, match=f"{address}: there is no such file"):
            read_image(address)


def test_what_cannot_be_fetched_is_one_line() -> None:
    with pytest.raises(DataNotFoundError, match="nobody answers") as error:
        read_image("http://127.0.0.1:9/a.png")
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="an address of fsspec"):
        as_path("nonsense://a.png")
    try:
        import s3fs  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"pip install 'medlight\[s3\]'"):
            as_path("s3://bucket/a.png")


@dataclass(kw_only=True, eq=False)
class Elsewhere(DataModule):
    """Pictures by their addresses: half below the root, half named in full."""

    spatial_dims = 2
    other: str

    def index(self) -> Index:
        records = [
            {
                "id": f"case_{k}",
                "patient": f"case_{k}",
                "files": {"image": ref_text(f"{k}.png" if k % 2 else f"{self.other}/{k}.png")},
                "tags": [float(k < 10), float(k >= 10)],
            }
            for k in range(20)
        ]
        return Index.from_records(
            labels=Labels(("low", "high"), "multiclass"),
            sources=[Source("elsewhere", as_path(self.root))],
            records=records,
        )


def test_a_set_of_addresses_is_checked_prepared_and_versioned(tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    pictures = np.random.default_rng(1).integers(0, 256, (20, 8, 8)).astype(np.uint8)
    for k, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "p.png")
        system.pipe(f"/{'base' if k % 2 else 'other'}/{k}.png", (tmp_path / "p.png").read_bytes())
    data = Elsewhere(
        root="memory://base",
        other="memory://other",
        cache=tmp_path,
        transforms=Radiograph(size=None),
        num_workers=0,
        batch_size=4,
    )
    issues, _ = audit(data.cases, data.split)
    assert not [issue for issue in issues if issue.level == "error"]
    manifest = snapshot(data.cases, version="1.0")
    assert verify_manifest(manifest, [as_path("memory://base")]).verified
    data.prepare_data()
    data.setup("fit")
    assert len(next(iter(data.train_dataloader()))["image"]) == 4
    system.pipe("/base/1.png", system.cat("/base/3.png"))
    changed = verify_manifest(manifest, [as_path("memory://base")]).changed
    assert [entry.case for entry in changed] == ["case_1"]


def test_shipped_sets_and_foreign_files_name_nothing_elsewhere(tmp_path: Path) -> None:
    for kind in (DecathlonDataModule, NNUNetDataModule):
        with pytest.raises(DataNotFoundError, match="copy it to this machine"):
            _ = kind(root="memory://nowhere", task="Task09_Spleen", cache=tmp_path).full_index
    with pytest.raises(DataError, match="put them beside it"):
        file_beside(Path("a.mhd"), "memory://set/d.raw")
    assert FileRef.parse("memory://a/b.png", tmp_path).path.name == "b.png"


def test_a_name_may_begin_like_a_home() -> None:
    assert FileRef.of("~$scan.nii.gz").path == Path("~$scan.nii.gz")
