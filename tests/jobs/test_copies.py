"""Copies of a case that are not equal byte by byte, on two sides of a split."""

import gzip
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medlight.datasets.decathlon import DecathlonDataModule
from medlight.jobs.copies import warn_of_copies
from medlight.transforms.volume import Volume


def compress_again(source: Path, target: Path) -> None:
    with gzip.GzipFile(target, "wb", compresslevel=1, mtime=7) as file:
        file.write(gzip.decompress(source.read_bytes()))


def turn(source: Path, target: Path) -> None:
    turned = nib.load(source).as_reoriented(np.array([[0, -1], [1, -1], [2, 1]]))
    kind = np.uint8 if source.parent.name == "labelsTr" else np.float32
    nib.save(nib.Nifti1Image(np.asarray(turned.dataobj).astype(kind), turned.affine), target)


@pytest.mark.parametrize("copy", [compress_again, turn, None])
def test_copies_across_the_split(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, copy: object
) -> None:
    DecathlonDataModule.fake(tmp_path / "in", cases=6)
    data = DecathlonDataModule(
        root=tmp_path / "in", cache=tmp_path / "cache", transforms=Volume(), folds=3
    )
    files = {case.id: case.files for case in data.full_index}
    one, other = data.split.train[0], data.split.test[0]
    if copy is not None:
        for role in ("image", "mask"):
            copy(files[one][role].path, files[other][role].path)  # type: ignore[operator]
    data.setup()
    tested = data.test_dataloader().dataset.stored  # type: ignore[union-attr]
    with caplog.at_level(logging.WARNING):
        warn_of_copies([data.train_cases], tested)
    assert len(caplog.records) == (copy is not None)
    if copy is not None:
        assert f"such as {one} and {other}: scores are flattered" in caplog.text
