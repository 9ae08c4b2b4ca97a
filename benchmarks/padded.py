"""The volume that files and stores are measured on: a real CT of a usual size."""

import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from medlight.core.grid import Grid
from medlight.io.nifti import read_nifti

SHAPE = (512, 512, 200)


def padded_ct() -> tuple[NDArray[np.int16], Grid]:
    """The spleen crop of $MEDLIGHT_DATA, reflected at its borders to 512 x 512 x 200, int16."""
    folder = os.environ.get("MEDLIGHT_DATA")
    if not folder:
        sys.exit("set MEDLIGHT_DATA to the folder that holds spleen_crop/spleen_2.nii.gz")
    image, grid = read_nifti(Path(folder) / "spleen_crop" / "spleen_2.nii.gz")
    margins = [(n - m, n - m) for n, m in zip(SHAPE, image.shape[1:], strict=True)]
    values = np.pad(image[0], [(a // 2, b - b // 2) for a, b in margins], mode="reflect")
    return values.astype(np.int16), Grid(SHAPE, grid.affine)


def saved_by_nibabel(path: Path, values: NDArray[np.int16], grid: Grid) -> Path:
    nib.save(nib.Nifti1Image(values, grid.affine, dtype=np.int16), path)
    return path
