"""Where voxels lie in the world."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

GAP_TOLERANCE = 0.1
"""Gap between the same corner of two grids, in the smallest voxel's size, up to which they are one:
what rounding in headers leaves. The one tolerance of position there is."""
AXIS_CODES = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape and position of a voxel array. World coordinates are RAS+ mm; a voxel index names
    the voxel's centre.

    A 2-D image is a grid of two axes whose affine is still 4x4; its third column is unused.

    Attributes:
        shape: spatial shape S, without channels.
        affine: (4, 4) float64, homogeneous voxel index to RAS+ mm.
        sform_code, qform_code: NIfTI form codes of the source file, kept for predictions.
        units: NIfTI units of the source file (`xyzt_units`), kept for predictions.
        qform: (4, 4) to mm, of the source file, kept for predictions; None: as the affine.
        caveats: what reading had to guess or to leave out, in words.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    sform_code: int = 1
    qform_code: int = 1
    units: int = 2
    qform: NDArray[np.float64] | None = None
    caveats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        affine = np.asarray(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise ValueError(f"Grid.affine must have shape (4, 4), got {affine.shape}")
        if len(self.shape) not in (2, 3):
            raise ValueError(f"Grid.shape must have 2 or 3 axes, got {self.shape}")
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Grid)
            and self.shape == other.shape
            and np.allclose(self.affine, other.affine, rtol=0, atol=1e-4)
        )

    __hash__ = None  # type: ignore[assignment]

    def overlies(self, other: "Grid") -> bool:
        """Return whether voxels may be compared one by one.

        Shapes must be equal, and no corner may lie further off than `GAP_TOLERANCE` voxels.
        """
        if self.shape != other.shape:
            return False
        gap = gap_mm(self.shape, self.affine, other.affine)
        return gap <= GAP_TOLERANCE * min(self.spacing_mm)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Distance between neighbouring voxel centres along each axis.

        >>> Grid((4, 4, 4), np.diag([0.5, 2, 3, 1])).spacing_mm
        (0.5, 2.0, 3.0)
        """
        return tuple(float(s) for s in np.linalg.norm(self.affine[:3, : self.ndim], axis=0))

    @property
    def diagonal_mm(self) -> float:
        """Length of the diagonal of the image, from corner to corner."""
        return float(np.linalg.norm(np.array(self.shape) * self.spacing_mm))

    @property
    def axes(self) -> NDArray[np.int64]:
        """(ndim, 2): for each voxel axis its closest world axis and +1 or -1.

        Each world axis is given once, to the voxel axes in order of how well they fit.
        """
        cosines = self.affine[:3, : self.ndim] / np.asarray(self.spacing_mm)
        strength = np.abs(cosines)
        axes = np.zeros((self.ndim, 2), dtype=np.int64)
        for _ in range(self.ndim):
            world, voxel = np.unravel_index(np.argmax(strength), strength.shape)
            axes[voxel] = world, 1 if cosines[world, voxel] >= 0 else -1
            strength[world, :] = strength[:, voxel] = -1
        return axes

    @property
    def orientation(self) -> str:
        """Direction in which each voxel axis grows.

        >>> Grid((2, 2, 2), np.diag([-1, 1, 1, 1])).orientation
        'LAS'
        """
        return "".join(AXIS_CODES[world][int(sign > 0)] for world, sign in self.axes)

    def to_world(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """(N, 3) voxel indices to (N, 3) RAS+ mm."""
        return np.asarray(voxels, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_voxel(self, world_mm: ArrayLike) -> NDArray[np.float64]:
        """(N, 3) RAS+ mm to (N, 3) fractional voxel indices."""
        inverse = np.linalg.inv(self.affine)
        voxels: NDArray[np.float64] = np.asarray(world_mm) @ inverse[:3, :3].T + inverse[:3, 3]
        return voxels


def gap_mm(shape: Sequence[int], one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Measure how far apart two affines put the corner voxels of a shape, at most.

    Args:
        shape: *S voxels.
        one: (4, 4), voxel index to mm.
        other: likewise.

    Returns:
        mm.
    """
    ends = [(0, n - 1) for n in shape] + [(0,)] * (3 - len(shape))
    corners = np.array([(*corner, 1) for corner in product(*ends)], dtype=np.float64)
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())
