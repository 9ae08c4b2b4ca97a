"""Predictions to files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.core.grid import Grid
from medlight.io.nifti import write_nifti
from medlight.io.raster import write_raster
from medlight.io.read import is_nifti


def write_mask(path: str | Path, labels: NDArray[np.uint8], grid: Grid) -> None:
    """Write (*S) labels on their grid: NIfTI, or a grey picture, by the name's ending.

    NIfTI keeps the source's affine, form codes and units, and holds no free text. The file
    appears whole or not at all. ValueError where shape or type do not fit.
    """
    path = Path(path)
    if labels.dtype != np.uint8 or labels.shape != grid.shape:
        raise ValueError(
            f"{path}: expected uint8 labels of shape {grid.shape}, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if is_nifti(path):
        write_nifti(path, labels, grid)
    else:
        write_raster(path, labels)
