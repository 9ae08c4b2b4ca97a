"""Order and direction of axes."""

import numpy as np
import torch
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from medlight.core.errors import ConfigError
from medlight.core.grid import Grid


def reorient(voxels: torch.Tensor, grid: Grid, codes: str) -> tuple[torch.Tensor, Grid]:
    """(C, *S) with its axes turned to `codes`, such as "RAS", and its new grid. No voxel changes.

    ConfigError where `codes` is no order of the three axes.
    """
    letters = sorted(min(pair) for pair in map(set, ("LR", "PA", "IS")) for c in codes if c in pair)
    if letters != ["A", "I", "L"] or len(codes) != 3:
        raise ConfigError(
            f"transforms.orientation must hold one of L R, one of P A and one of I S, got {codes!r}"
        )
    turn = ornt_transform(io_orientation(grid.affine), axcodes2ornt(codes))
    affine = grid.affine @ inv_ornt_aff(turn, grid.shape)
    flipped = [axis + 1 for axis, sign in enumerate(turn[:, 1]) if sign < 0]
    order = np.argsort(turn[:, 0])
    voxels = voxels.flip(flipped) if flipped else voxels
    voxels = voxels.permute(0, *(int(axis) + 1 for axis in order)).contiguous()
    return voxels, Grid(tuple(voxels.shape[1:]), affine)
