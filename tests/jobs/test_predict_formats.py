"""Masks come back in the format of their images."""

from pathlib import Path

import numpy as np
import pytest

from medlight.io.metaimage import write_meta
from medlight.io.nrrd import write_nrrd
from medlight.io.read import read_image, read_mask
from tests.jobs.test_predict import predicted, volume


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_mask_has_the_format_of_its_image(tmp_path: Path, suffix: str) -> None:
    image, grid = read_image(volume(tmp_path / "nifti/a.nii.gz"))
    (tmp_path / "in").mkdir()
    write = {".nrrd": write_nrrd, ".mha": write_meta}[suffix]
    write(tmp_path / f"in/a{suffix}", image[0], grid)
    predicted("1", tmp_path / "nifti", tmp_path / "expected")
    predicted("1", tmp_path / "in", tmp_path / "out")
    mask, where = read_mask(tmp_path / f"out/a{suffix}")
    expected, _ = read_mask(tmp_path / "expected/a.nii.gz")
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_allclose(where.affine, grid.affine, atol=1e-6)
    before = (tmp_path / f"out/a{suffix}").stat().st_mtime_ns
    predicted("1", tmp_path / "in", tmp_path / "out")
    assert (tmp_path / f"out/a{suffix}").stat().st_mtime_ns == before
