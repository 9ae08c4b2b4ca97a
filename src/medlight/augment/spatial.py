"""Flips, affine maps and deformations: each draws its part of a `SpatialTransform`, which `move`
carries out, so that however many there are, voxels are interpolated once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from medlight.augment.random import RandomStreams
from medlight.augment.spatial_transform import Array, SpatialTransform
from medlight.core.errors import ConfigError

MAX_ANISOTROPY = 3.0
"""Volumes whose longest side has more than so many times the voxels of the shortest are stacks of
slices to nnU-Net: they move in the plane only."""
MAX_MAGNITUDE = 0.4


class SpatialStep(Protocol):
    """One random map: applied to the images as a motion has left them."""

    @property
    def probability(self) -> float: ...

    def randomize(self, rng: RandomStreams, transform: SpatialTransform) -> SpatialTransform: ...


@dataclass(frozen=True, kw_only=True)
class Flip:
    """Mirror each axis with `probability`. Exact: no voxel is interpolated for it.

    Attributes:
        axes: "all", or "left-right": the first axis of a volume, the last of an image.
    """

    probability: float = 0.5
    axes: Literal["all", "left-right"] = "all"

    def __post_init__(self) -> None:
        if self.axes not in ("all", "left-right"):
            raise ConfigError(f"Flip.axes must be all or left-right, got {self.axes}")

    def mirror_axes(self, n: int) -> tuple[int, ...]:
        """The axes, of n, that may be mirrored."""
        return tuple(range(n)) if self.axes == "all" else (0 if n == 3 else 1,)

    def randomize(self, rng: RandomStreams, transform: SpatialTransform) -> SpatialTransform:
        n = len(transform.shape)
        chosen = rng.bernoulli(self.probability, n)
        chosen[:, [axis for axis in range(n) if axis not in self.mirror_axes(n)]] = False
        signs = np.where(chosen, -1.0, 1.0)
        return transform.compose(signs[:, :, None] * np.eye(n), np.zeros_like(signs))


@dataclass(frozen=True, kw_only=True)
class Affine:
    """Turn, then scale, then shift, all with one `probability`.

    Rotations are rigid in millimetres where the batch tells `spacing_mm`; without, voxels count
    as cubes.

    Attributes:
        rotate_degrees: up to so much about each axis, either way; "nnunet": see `nnunet_degrees`.
        scale: range of the factor by which the field of view grows; above 1, things look smaller.
        shift: up to so much of the image's size along each axis, either way.
        in_plane: leave the short axis of a stack of slices unscaled.
    """

    probability: float = 1.0
    rotate_degrees: float | Literal["nnunet"] = 0.0
    scale: Sequence[float] = (1.0, 1.0)
    translate: float = 0.0
    in_plane: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.rotate_degrees, str) and self.rotate_degrees != "nnunet":
            raise ConfigError(
                f"Affine.rotate_degrees must be a number or nnunet, got {self.rotate_degrees}"
            )
        check_range("Affine.scale", self.scale)

    def randomize(self, rng: RandomStreams, transform: SpatialTransform) -> SpatialTransform:
        shape, n = transform.shape, len(transform.shape)
        chosen = rng.bernoulli(self.probability)
        angles = rng.between(-1, 1, 1 if n == 2 else 3)
        zoom = np.repeat(rng.balanced_factor(self.scale, 1), n, axis=1)
        shift = rng.between(-self.translate, self.translate, n) * np.array(shape)
        if self.rotate_degrees == "nnunet":
            degrees = np.array(nnunet_degrees(shape))
        else:
            degrees = np.full(angles.shape[1], self.rotate_degrees)
        thin = thin_axis(shape)
        if self.in_plane and thin is not None:
            zoom[:, thin] = 1.0
        turn = rotations(np.radians(angles * degrees), n)
        spacing = transform.spacing_mm
        linear = turn * (spacing[:, None, :] / spacing[:, :, None]) * zoom[:, None, :]
        linear[~chosen], shift[~chosen] = np.eye(n), 0.0
        return replace(
            transform.compose(linear, shift), interpolated=transform.interpolated | chosen
        )


@dataclass(frozen=True, kw_only=True)
class Elastic:
    """Bend smoothly: a cubic B-spline whose control points are moved at random.

    Attributes:
        num_cells: that the control points cut each axis into; fewer bend more gently.
        magnitude: of the control points, up to so much of a cell; at most 0.4, so that nothing
            folds. Each sample draws its own maximum below it.
    """

    probability: float = 1.0
    num_cells: int = 4
    magnitude: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.magnitude <= MAX_MAGNITUDE:
            raise ConfigError(
                f"Elastic.magnitude must be between 0 and {MAX_MAGNITUDE}, got {self.magnitude}: "
                "above, the image may fold"
            )

    def randomize(self, rng: RandomStreams, transform: SpatialTransform) -> SpatialTransform:
        if transform.control_points is not None:
            raise ConfigError("augment.spatial may hold one Elastic, not two")
        n = len(transform.shape)
        chosen = rng.bernoulli(self.probability)
        cell = np.array(transform.shape) / self.num_cells
        reach = rng.between(0, self.magnitude, 1) * cell * chosen[:, None]
        control_points = rng.between(-1, 1, n, *(self.num_cells + 3,) * n)
        control_points *= reach.reshape(*reach.shape, *(1,) * n)
        return replace(
            transform, control_points=control_points, interpolated=transform.interpolated | chosen
        )


def check_range(name: str, value: Sequence[float]) -> None:
    """Check that a setting holds two positive numbers in order.

    Args:
        name: of the setting, for the message.
        value: what was given.

    Raises:
        ConfigError: it does not.
    """
    if len(value) != 2 or not 0 < value[0] <= value[1]:
        raise ConfigError(f"{name} must be two positive numbers [low, high], got {list(value)}")


def thin_axis(shape: Sequence[int]) -> int | None:
    """The axis across the slices, where a volume is a stack of slices."""
    thin = len(shape) == 3 and max(shape) > MAX_ANISOTROPY * min(shape)
    return int(np.argmin(shape)) if thin else None


def nnunet_degrees(shape: Sequence[int]) -> tuple[float, ...]:
    """How far nnU-Net v2 turns about each axis: an image all around, or 15 degrees where it is
    longish; a volume 30 degrees about each axis; a stack of slices all around, in the plane."""
    if len(shape) == 2:
        return (15.0 if max(shape) > 1.5 * min(shape) else 180.0,)
    thin = thin_axis(shape)
    return tuple(30.0 if thin is None else 180.0 * (axis == thin) for axis in range(3))


def rotations(angles: Array, n: int) -> Array:
    """Multiply rotations about each axis.

    Args:
        angles: (B, 1) in 2-D, (B, 3) in 3-D, radians.
        n: spatial axes, 2 or 3.

    Returns:
        (B, n, n).
    """
    turned = np.tile(np.eye(n), (len(angles), 1, 1))
    for k, (a, b) in enumerate([(0, 1)] if n == 2 else [(1, 2), (0, 2), (0, 1)]):
        turn = np.tile(np.eye(n), (len(angles), 1, 1))
        turn[:, a, a] = turn[:, b, b] = np.cos(angles[:, k])
        turn[:, b, a] = np.sin(angles[:, k])
        turn[:, a, b] = -turn[:, b, a]
        turned = turned @ turn
    return turned
