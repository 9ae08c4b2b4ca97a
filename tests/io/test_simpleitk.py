"""Volumes lie where ITK, on which 3D Slicer and ITK-SNAP are built, says they lie."""

from pathlib import Path

import numpy as np
import pytest

from medlight.core.grid import Grid
from medlight.io.read import read_image, read_mask
from medlight.io.write import write_mask

pytestmark = pytest.mark.slow
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
"""ITK counts millimetres to the left and to the back, NIfTI to the right and to the front."""


def grid_of_itk(path: Path) -> tuple[np.ndarray, Grid]:
    """Voxels in the order of NIfTI's axes, and their grid."""
    sitk = pytest.importorskip("SimpleITK", reason="the extra oracles is not installed")
    image = sitk.ReadImage(str(path))
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ direction * image.GetSpacing()
    affine[:3, 3] = LPS_TO_RAS @ image.GetOrigin()
    values = sitk.GetArrayFromImage(image).T
    return values, Grid(values.shape, affine)


def test_images_and_masks_lie_where_itk_reads_them(phantom_folder: Path, tmp_path: Path) -> None:
    images = sorted((phantom_folder / "imagesTr").glob("*.nii.gz"))
    assert len(images) == 10
    orientations = set()
    for path in images:
        values, grid = read_image(path)
        theirs, their_grid = grid_of_itk(path)
        np.testing.assert_array_equal(values[0], theirs)
        np.testing.assert_allclose(grid.affine, their_grid.affine, atol=1e-4)
        orientations.add(grid.orientation)
        mask, mask_grid = read_mask(phantom_folder / "labelsTr" / path.name)
        written = tmp_path / path.name
        write_mask(written, mask[0].astype(np.uint8), mask_grid)
        again, again_grid = grid_of_itk(written)
        np.testing.assert_array_equal(again, mask[0])
        np.testing.assert_allclose(again_grid.affine, grid.affine, atol=1e-4)
    assert len(orientations) >= 3
