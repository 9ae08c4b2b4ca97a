"""Boxes and points go where the voxels go that they name: geometry, patch, augmentation."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from medlight.audit.audit import audit
from medlight.audit.files import header_scan_issues
from medlight.augment.augment import Augment
from medlight.augment.spatial import Affine, Flip
from medlight.core.errors import ConfigError, DataError
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.data.dataset import CaseDataset, collate
from medlight.data.sampling import SampleIndex
from medlight.data.slice_dataset import SliceDataset
from medlight.io.annotations import read_annotations
from medlight.io.store.store import Store
from medlight.transforms.volume import Volume

SHAPE = (20, 24, 16)
AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3.0, 2], [0, 0, 0, 1]])
POINTS = [[4, 5, 6], [18, 2, 14], [13, 14, 7]]
BOX = [3, 8, 2, 9, 17, 7]  # voxels 3 to 9, 8 to 17, 2 to 7


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Each landmark is the one voxel of its brightness; the box is filled in the mask."""
    image, mask = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.uint8)
    for k, point in enumerate(POINTS):
        image[tuple(point)] = 10 * (k + 1)
    mask[3:10, 8:18, 2:8] = 1
    nib.save(nib.Nifti1Image(image, AFFINE), tmp_path / "image.nii.gz")
    nib.save(nib.Nifti1Image(mask, AFFINE), tmp_path / "mask.nii.gz")
    edges = [end - 0.5 for end in BOX[:3]] + [end + 0.5 for end in BOX[3:]]
    noted = {"points": POINTS, "boxes": [edges], "box_labels": [1]}
    (tmp_path / "noted.json").write_text(json.dumps(noted))
    files = {"image": "image.nii.gz", "mask": "mask.nii.gz", "annotations": "noted.json"}
    return Index.from_records(
        labels=Labels(("background", "organ"), "mask"),
        sources=[Source("drawn", tmp_path)],
        records=[{"id": name, "patient": name, "files": files} for name in "ab"],
    )


def dataset(index: Index, tmp_path: Path, memory_gb: float = 1, **options: object) -> CaseDataset:
    store = Store(folder=tmp_path / "store", memory_gb=memory_gb)
    return CaseDataset(index, store=store, transforms=Volume(**options))  # type: ignore[arg-type]


def bright(image: torch.Tensor, k: int) -> list[list[int]]:
    """Where landmark k is in a standardised image, if it is."""
    levels = sorted(set(image.unique().tolist()))
    return (image[0] == levels[k + 1]).nonzero().tolist() if k + 1 < len(levels) else []


def test_geometry_takes_them_along(index: Index, tmp_path: Path) -> None:
    sample = dataset(index, tmp_path)[0]
    assert sample["image"].shape[1:] != SHAPE, "axes were turned"
    for k, point in enumerate(sample["points"].tolist()):
        assert bright(sample["image"], k) == [[round(place) for place in point]]
    where = sample["mask"][0].nonzero()
    edges = torch.cat([where.amin(0) - 0.5, where.amax(0) + 0.5])
    torch.testing.assert_close(sample["boxes"], edges[None].float(), atol=1e-4, rtol=0)
    assert sample["box_labels"].tolist() == [1]


def test_another_spacing_keeps_them_where_they_are_in_the_world(
    index: Index, tmp_path: Path
) -> None:
    sample = dataset(index, tmp_path, spacing_mm=(1, 1, 1))[0]
    world = sample["grid"].to_world(sample["points"].double())
    expected = np.array(POINTS) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    np.testing.assert_allclose(world, expected, atol=1e-3)


@pytest.mark.parametrize("memory_gb", [0.0, 1.0])
@pytest.mark.parametrize("patch", [(12, 12, 12), (32, 8, 32)])
def test_a_patch_shows_what_lies_in_it(
    index: Index, tmp_path: Path, patch: tuple[int, ...], memory_gb: float
) -> None:
    cases = dataset(index, tmp_path, memory_gb)
    whole, cut = cases[0], cases.with_patch(patch)
    levels = sorted(set(whole["image"].unique().tolist()))
    hidden = 0
    for position in range(12):
        batch = collate(
            cut.__getitems__([SampleIndex(0, 0, position), SampleIndex(1, 1, position)])
        )
        for image, points, mask, boxes, labels in zip(
            *(batch[k] for k in ("image", "points", "mask", "boxes", "box_labels")), strict=True
        ):
            for k, point in enumerate(points.tolist()):
                found = (image[0] == levels[k + 1]).nonzero().tolist()
                gone = any(np.isnan(point))
                hidden += gone
                assert found == ([] if gone else [[round(place) for place in point]])
            assert len(boxes) == len(labels)
            where = mask[0].nonzero()
            for box in boxes:
                edges = torch.cat([where.amin(0) - 0.5, where.amax(0) + 0.5])
                torch.testing.assert_close(box, edges.float(), atol=1e-4, rtol=0)
    assert hidden


def test_augmentation_carries_what_the_patch_shows(index: Index, tmp_path: Path) -> None:
    cut = dataset(index, tmp_path).with_patch((24, 24, 16))
    batch = collate(cut.__getitems__([SampleIndex(row % 2, 0, row) for row in range(16)]))
    augment = Augment(spatial={"flip": Flip(), "shift": Affine(probability=0.5, translate=0.2)})
    moved = augment(batch, seed=0, epoch=0)
    seen = 0
    for image, points in zip(moved["image"], moved["points"], strict=True):
        point = points[2]
        if not point.isnan().any() and ((point > 1) & (point < torch.tensor([22, 22, 14]))).all():
            seen += 1
            brightest = torch.tensor(np.unravel_index(int(image[0].argmax()), image.shape[1:]))
            assert (brightest - point).abs().max() <= 1
    assert seen > 4


def test_a_check_reads_them(index: Index, tmp_path: Path) -> None:
    assert not [f for f in header_scan_issues(index) if f.level == "error"]
    assert not [f for f in audit(index)[0] if f.level == "error" and f.kind != "copies"]
    (tmp_path / "noted.json").write_text('{"points": [[1, 2]]}')
    found = list(header_scan_issues(index))
    assert [f.kind for f in found] == ["unreadable", "unreadable"]
    assert "noted.json: points must hold 3 numbers" in found[0].message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
        ('{"ponts": []}', "unknown key 'ponts'"),
        ('{"points": [[1, 2]]}', "points must hold 3 numbers"),
        ('{"boxes": [[1, 2, 3, 4, 5, 6]], "box_labels": [1, 2]}', "a number for each of 1 boxes"),
    ],
)
def test_what_is_no_annotation_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "noted.json").write_text(text)
    with pytest.raises(DataError, match=rf"noted\.json: .*{told}"):
        read_annotations(tmp_path / "noted.json", 3)


def test_slices_of_cases_with_boxes_are_refused(index: Index, tmp_path: Path) -> None:
    store = Store(folder=tmp_path / "store")
    slices = SliceDataset(index, store=store, transforms=Volume(), slices="axial")
    with pytest.raises(ConfigError, match="boxes or points as well"):
        slices.with_patch((8, 8))
