"""Data sets whose cases are parts of one file, or several files, from index to batch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medlight.audit.audit import audit
from medlight.core.errors import ConfigError, DataError
from medlight.core.file_ref import ref_text
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.core.manifest import Manifest, diff_manifests
from medlight.data.datamodule import DataModule
from medlight.io.manifest import snapshot, verify_manifest
from medlight.transforms.radiograph import Radiograph

N = 20


@dataclass(kw_only=True, eq=False)
class Arrays(DataModule):
    """Pictures and masks in one .npz."""

    spatial_dims = 2

    def masks(self, k: int) -> dict[str, str]:
        return {"mask": ref_text("a.npz", f"masks[{k}]")}

    def index(self) -> Index:
        records = [
            {
                "id": f"case_{k}",
                "patient": f"case_{k}",
                "files": {"image": ref_text("a.npz", f"images[{k}]"), **self.masks(k)},
            }
            for k in range(N)
        ]
        return Index.from_records(
            labels=Labels(("background", "spot"), "mask"),
            sources=[Source("arrays", Path(self.root))],
            records=records,
        )


@dataclass(kw_only=True, eq=False)
class Channels(DataModule):
    """Pictures of two channels, each in a file of its own."""

    spatial_dims = 2

    def index(self) -> Index:
        records = [
            {
                "id": f"case_{k}",
                "patient": f"case_{k}",
                "files": {"image": ref_text([f"{k}_0000.png", f"{k}_0001.png"])},
                "tags": [float(k % 2 == 0), float(k % 2 == 1)],
            }
            for k in range(N)
        ]
        return Index.from_records(
            labels=Labels(("even", "odd"), "multiclass"),
            sources=[Source("channels", Path(self.root))],
            records=records,
        )


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (N, 16, 16)).astype(np.uint8)
    found = {"images": images, "masks": (images > 128).astype(np.uint8)}
    np.savez_compressed(tmp_path / "a.npz", **found)
    return found


def test_rows_of_an_array_train(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    data = Arrays(root=tmp_path, cache=tmp_path / "cache")
    data.setup()
    for sample, case in zip(data.train_set, data.train_set.index, strict=False):
        row = int(case.id.split("_")[1])
        np.testing.assert_allclose(sample["image"][0], arrays["images"][row] / 255, rtol=1e-6)
        np.testing.assert_array_equal(sample["mask"][0], arrays["masks"][row])


def test_another_content_of_the_file_is_prepared_again(
    arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    before = Arrays(root=tmp_path, cache=tmp_path / "cache").prepare()
    np.savez(tmp_path / "a.npz", images=arrays["images"] // 2, masks=arrays["masks"])
    after = Arrays(root=tmp_path, cache=tmp_path / "cache").prepare()
    assert not set(before.paths) & set(after.paths)
    assert len(set(after.paths)) == N


def test_a_manifest_knows_parts(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    index = Arrays(root=tmp_path).index()
    old = snapshot(index, version="1")
    old.save(tmp_path / "manifest_1.jsonl")
    assert Manifest.load(tmp_path / "manifest_1.jsonl").id == old.id
    assert verify_manifest(old, [tmp_path], full=True).verified
    assert not diff_manifests(old, old)
    fewer = diff_manifests(old, snapshot(index.without({"case_3"}), version="2"))
    assert (fewer.removed, fewer.changed, fewer.renamed) == (("case_3",), (), ())
    np.savez(tmp_path / "a.npz", images=arrays["images"] // 2, masks=arrays["masks"])
    assert len(verify_manifest(old, [tmp_path]).changed) == 2 * N
    assert len(diff_manifests(old, snapshot(index, version="2")).changed) == N


def test_an_audit_sees_equal_rows(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    arrays["images"][7] = arrays["images"][2]
    np.savez(tmp_path / "a.npz", **arrays)
    data = Arrays(root=tmp_path, cache=tmp_path / "cache")
    issues, _ = audit(data.cases, data.split)
    twins = [issue for issue in issues if {"case_2", "case_7"} <= set(issue.cases)]
    assert twins
    assert not [issue for issue in issues if issue.level == "error" and issue not in twins]


def test_files_of_a_case_are_its_channels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (N, 2, 8, 8)).astype(np.uint8)
    for k, c in np.ndindex(N, 2):
        Image.fromarray(pixels[k, c]).save(tmp_path / f"{k}_{c:04d}.png")
    data = Channels(root=tmp_path, cache=tmp_path / "cache")
    data.setup()
    assert data.spec.channels == 2
    for sample, case in zip(data.train_set, data.train_set.index, strict=False):
        row = int(case.id.split("_")[1])
        np.testing.assert_allclose(sample["image"], pixels[row] / 255, rtol=1e-6)
    stored = set(data.prepare().paths)
    Image.fromarray(255 - pixels[3, 1]).save(tmp_path / "3_0001.png")
    again = Channels(root=tmp_path, cache=tmp_path / "cache").prepare()
    assert len(set(again.paths) - stored) == 1
    (tmp_path / "5_0001.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"case 'case_5'.*5_0001\.png"):
        Channels(root=tmp_path, cache=tmp_path / "cache").prepare()


def write_pictures(folder: Path, sizes: list[tuple[int, int]], modes: list[str]) -> None:
    for k in range(N):
        for c in range(2):
            picture = Image.new(modes[k % len(modes)], sizes[k % len(sizes)], k)
            picture.save(folder / f"{k}_{c:04d}.png")


def test_pictures_of_differing_sizes_are_refused_with_a_size(tmp_path: Path) -> None:
    write_pictures(tmp_path, [(40, 50), (44, 52), (46, 54)], ["L"])
    with pytest.raises(ConfigError, match=r"50 x 40 to 54 x 46 .*transforms\.size=\[48,48\]"):
        Channels(root=tmp_path, cache=tmp_path / "cache").setup()
    data = Channels(root=tmp_path, cache=tmp_path / "cache", transforms=Radiograph(size=[48, 48]))
    data.setup()
    assert data.spec.shape == (48, 48)


def test_little_that_is_seen_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_pictures(tmp_path, [(60, 60)], ["L"])
    for size, told in (((32, 32), False), ((24, 24), True)):
        caplog.clear()
        Channels(root=tmp_path, cache=tmp_path / "cache", transforms=Radiograph(size=size)).setup()
        assert ("16 % of the pixels" in caplog.text) == told


def test_grey_among_colours(tmp_path: Path) -> None:
    write_pictures(tmp_path, [(8, 8)], ["L", "RGB"])
    with pytest.raises(DataError, match=r"shape \((2|6), .*leave one of them out"):
        Channels(root=tmp_path, cache=tmp_path / "cache").setup()


@dataclass(kw_only=True, eq=False)
class Annotated(Arrays):
    """The same pictures, with the masks of two annotators, one of whom left a picture out."""

    def masks(self, k: int) -> dict[str, str]:
        ben = {} if k == 3 else {"mask/ben": ref_text("a.npz", f"images[{k}]")}
        return {"mask/anna": ref_text("a.npz", f"masks[{k}]"), **ben}


def test_one_of_several_masks_is_learnt_and_all_are_checked(
    arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    plain: Any = {"root": tmp_path, "cache": tmp_path, "transforms": Radiograph(size=None)}
    data = Annotated(target="anna", **plain)
    data.setup()
    case = data.train_set.index.ids[0]
    number = int(case.removeprefix("case_"))
    [sample] = [s for s in data.train_set if s["case"] == case]
    np.testing.assert_array_equal(sample["mask"][0], arrays["masks"][number])
    assert {e.role for e in snapshot(data.cases, version="1").entries} == {
        "image",
        "mask/anna",
        "mask/ben",
    }
    # Ben's masks hold up to 255, which no label names.
    issues, infos = audit(data.cases, data.split)
    assert {info.role for info in infos if info.label_counts} == {"mask/anna", "mask/ben"}
    assert [i.kind for i in issues if i.level == "error"][:1] == ["labels"]
    assert "missing pair" not in {issue.kind for issue in issues}
    for target, told in {
        None: "masks of anna, ben; type data.target=",
        "carl": "data.target=carl: arrays has masks only of anna, ben",
        "ben": "1 of 20 cases have no mask of ben, such as case_3",
    }.items():
        with pytest.raises(ConfigError, match=told):
            Annotated(target=target, **plain).setup()
