"""Channels in files of their own lie on one grid, but for what rounding did to their headers."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medlight.core.errors import DataError
from medlight.io.read import read_image

AFFINE = np.diag([0.8, 0.8, 3.0, 1.0])


def channel(path: Path, shift_mm: float, value: float) -> Path:
    affine = AFFINE.copy()
    affine[0, 3] += shift_mm
    nib.save(nib.Nifti1Image(np.full((4, 5, 6), value, np.float32), affine), path)
    return path


@pytest.mark.parametrize(("shift_mm", "accepted"), [(0.079, True), (0.081, False), (-0.5, False)])
def test_a_tenth_of_the_smallest_voxel_is_rounding(
    tmp_path: Path, shift_mm: float, accepted: bool
) -> None:
    paths = [channel(tmp_path / "a.nii", 0.0, 1.0), channel(tmp_path / "b.nii", shift_mm, 2.0)]
    if not accepted:
        with pytest.raises(DataError, match=r"b\.nii does not lie on the grid of a\.nii"):
            read_image(paths)
        return
    image, grid = read_image(paths)
    assert image.shape == (2, 4, 5, 6)
    assert [float(channel.mean()) for channel in image] == [1.0, 2.0]
    np.testing.assert_allclose(grid.affine, AFFINE, rtol=1e-6)
