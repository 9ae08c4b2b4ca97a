"""The files of a data set and of the store, damaged: one line that names the file, or, of what can
be made again, no word at all."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medlight.core.case import Case
from medlight.core.file_ref import FileRef
from medlight.core.grid import Grid
from medlight.core.manifest import Manifest, ManifestEntry
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.io.annotations import read_annotations
from medlight.io.metaimage import write_meta
from medlight.io.nifti import read_header
from medlight.io.nrrd import write_nrrd
from medlight.io.read import read_image, read_mask
from medlight.io.store.case_file import PreparedCase
from medlight.io.store.store import Store
from medlight.io.verified import VERIFIED_FILE, note_verified, verified_md5
from medlight.jobs.mask_pairs import read_label_names

Fuzz = Callable[..., list[str]]


def volume(path: Path) -> None:
    values = np.arange(120, dtype="i2").reshape(4, 5, 6)
    path.write_bytes(nib.Nifti1Image(values, np.eye(4)).to_bytes())


def picture(path: Path) -> None:
    Image.fromarray(np.arange(20, dtype="u1").reshape(4, 5)).save(path)


def dataset_json(path: Path) -> None:
    content = {
        "name": "x", "labels": {"0": "background", "1": "liver"}, "modality": {"0": "CT"},
        "training": [{"image": f"./i/{n}.nii.gz", "label": f"./l/{n}.nii.gz"} for n in range(3)],
        "release": "1", "licence": "CC", "reference": "me",
    }  # fmt: skip
    path.write_text(json.dumps(content))


def read_dataset_json(path: Path) -> None:
    data = DecathlonDataModule(root=path.parent, cache=path.parent / "cache")
    index = data.index()
    assert len(list(index)) == len(index)
    assert data.modalities


def label_names(path: Path) -> None:
    unions = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    path.write_text(json.dumps({"labels": unions}))


def annotations(path: Path) -> None:
    content = {"points": [[1, 2, 3]], "boxes": [[1, 2, 3, 4, 5, 6]], "box_labels": [1]}
    path.write_text(json.dumps(content))


def manifest(path: Path) -> None:
    entries = tuple(
        ManifestEntry(f"{n}.nii", 3, 4, "0" * 64, f"c{n}", "image", f"p{n}") for n in range(3)
    )
    Manifest("x", "1.0", ("background", "liver"), entries, ("x",)).save(path)


def verified(path: Path) -> None:
    (path.parent / "a").write_text("a")
    note_verified(path.parent, "0" * 32)


def written_by(write: Callable[..., None]) -> Callable[[Path], None]:
    values = np.arange(120, dtype="i2").reshape(4, 5, 6)
    return lambda path: write(path, values, Grid(values.shape))


def array(path: Path) -> None:
    np.savez_compressed(path, images=np.arange(120, dtype="u1").reshape(4, 5, 6))


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["images"] = np.arange(120, dtype="u1").reshape(4, 5, 6)


def read_row(path: Path) -> Any:
    return read_image(FileRef((path,), "images[2]"))


READERS: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], Any]]] = {
    "image.nii": ("bytes", volume, read_image),
    "mask.nii": ("bytes", volume, read_mask),
    "header.nii": ("bytes", volume, read_header),
    "image.png": ("bytes", picture, read_image),
    "mask.tif": ("bytes", picture, read_mask),
    "image.nrrd": ("bytes", written_by(write_nrrd), read_image),
    "mask.nrrd": ("bytes", written_by(write_nrrd), read_mask),
    "image.mha": ("bytes", written_by(write_meta), read_image),
    "mask.mha": ("bytes", written_by(write_meta), read_mask),
    "row.npz": ("bytes", array, read_row),
    "row.h5": ("bytes", hdf5, read_row),
    "dataset.json": ("json", dataset_json, read_dataset_json),
    "labels/dataset.json": ("json", label_names, lambda p: read_label_names([p.parent], None)),
    "boxes.json": ("json", annotations, lambda path: read_annotations(path, 3)),
    "manifest_1.0.jsonl": ("jsonl", manifest, Manifest.load),
    VERIFIED_FILE: ("json", verified, lambda path: verified_md5(path.parent)),
}


@pytest.mark.filterwarnings("ignore")  # Pillow's and nibabel's, about the damage
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_of_a_data_set(tmp_path: Path, fuzz: Fuzz, name: str) -> None:
    form, write, read = READERS[name]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    write(path)
    assert fuzz(path, form, read) == []


def opened(folder: Path) -> tuple[Any, Path]:
    """The cases of a small store, and the file of the second."""
    cases = []
    for number in range(3):
        file = folder / f"{number}.txt"
        if not file.exists():
            file.write_text(str(number))
        cases.append(Case(id=f"c{number}", patient=f"p{number}", files={"image": FileRef.of(file)}))

    def build(case: Case) -> PreparedCase:
        grid = Grid((3, 4, 5))
        image = np.arange(60, dtype=np.float32).reshape(1, 3, 4, 5)
        return PreparedCase(image=image, mask=(image > 9).astype(int), source_grid=grid, grid=grid)

    store = Store(folder=folder / "store", num_workers=1)
    stored = store.open(cases, name="x", recipe={"a": 1}, build=build)
    return stored, stored.paths[1]


def use(stored: Any) -> None:
    for row in range(len(stored)):
        image, mask = np.empty((1, 3, 4, 5), np.float32), np.empty((1, 3, 4, 5), np.int64)
        stored.read(row, (slice(None),) * 3, image, mask)
        stored.class_locations(row)
        stored.grids(row)


def test_a_damaged_ledger_of_the_store_costs_time_only(tmp_path: Path, fuzz: Fuzz) -> None:
    opened(tmp_path)
    assert (
        fuzz(tmp_path / "store" / "sets" / "x.json", "json", lambda _: use(opened(tmp_path)[0]))
        == []
    )


def test_a_stored_case_with_a_made_up_head_is_made_again(tmp_path: Path, fuzz: Fuzz) -> None:
    path = opened(tmp_path)[1]
    good = path.read_bytes()
    length = struct.unpack("<8sII", good[:16])[1]
    head = tmp_path / "head.json"
    head.write_bytes(good[16 : 16 + length])

    def read(file: Path) -> None:
        text = file.read_bytes()
        rest = good[16 + length + -(16 + length) % 64 :]
        start = struct.pack("<8sII", b"MEDLIGHT", len(text), zlib.crc32(text)) + text
        path.write_bytes(start + bytes(-len(start) % 64) + rest)
        use(opened(tmp_path)[0])
        path.write_bytes(good)

    assert fuzz(head, "json", read) == []


def test_a_damaged_stored_case_is_made_again(tmp_path: Path, fuzz: Fuzz) -> None:
    assert fuzz(opened(tmp_path)[1], "bytes", lambda _: use(opened(tmp_path)[0])) == []
