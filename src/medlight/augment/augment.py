"""One batch in, one batch out: each sample changed in its own way."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medlight.augment.intensity import IntensityStep, apply_steps
from medlight.augment.random import RandomStreams
from medlight.augment.spatial import Flip, SpatialStep
from medlight.augment.spatial_transform import Array, SpatialTransform, apply_to_annotations, spline
from medlight.augment.warp import apply_along_axes, warp


class Augment:
    """Spatial steps, composed to one motion of image, mask, boxes and points; then changes of
    the image's intensity. Both in the order given; each draws from a stream of its own name.

    Args:
        spatial: name to step; see `medlight.augment.spatial`. Those with probability 0 are off.
        intensity: name to step; see `medlight.augment.intensity` and `.resolution`.
    """

    def __init__(
        self,
        *,
        spatial: Mapping[str, SpatialStep] | None = None,
        intensity: Mapping[str, IntensityStep] | None = None,
    ) -> None:
        self.spatial = {k: step for k, step in (spatial or {}).items() if step.probability > 0}
        self.intensity = {k: step for k, step in (intensity or {}).items() if step.probability > 0}

    def mirror_axes(self, n: int) -> tuple[int, ...]:
        """The spatial axes, of n, along which some step mirrors."""
        flips = [step for step in self.spatial.values() if isinstance(step, Flip)]
        return tuple(sorted({axis for flip in flips for axis in flip.mirror_axes(n)}))

    def transform(self, batch: Mapping[str, Any], rng: RandomStreams) -> SpatialTransform:
        """Draw where each sample of a batch moves.

        Args:
            batch: with `image` (B, C, *S) and, if it is known, `spacing_mm` (B, n).
            rng: the numbers of the batch.
        """
        shape = batch["image"].shape[2:]
        if "spacing_mm" in batch:
            spacing = batch["spacing_mm"].cpu().numpy().astype(np.float64)
        else:
            spacing = np.ones((len(rng), len(shape)))
        transform = SpatialTransform.identity(shape, spacing)
        streams = rng.streams(self.spatial)
        for name, step in self.spatial.items():
            transform = step.randomize(streams[name], transform)
        return transform

    @torch.no_grad()
    def __call__(self, batch: dict[str, Any], *, seed: int, epoch: int) -> dict[str, Any]:
        """A new batch, by the samples' `randomize`s; the old one is left as it was."""
        rng = RandomStreams(seed=seed, epoch=epoch, position=batch["position"])
        if self.spatial:
            transform = self.transform(batch, rng)
            batch = {
                **batch,
                **apply_transform(batch, transform),
                **apply_to_annotations(batch, transform),
            }
        image = batch["image"]
        if self.intensity:
            image = apply_steps(image, self.intensity, rng.streams(self.intensity))
        return {**batch, "image": image}


def apply_transform(batch: Mapping[str, Tensor], transform: SpatialTransform) -> dict[str, Tensor]:
    """Move image and mask of each sample together.

    Args:
        batch: with `image` (B, C, *S) and, if there is one, `mask` (B, 1, *S).
        transform: where they go.

    Returns:
        The new values of both.
    """
    moved = {key: batch[key] for key in ("image", "mask") if batch.get(key) is not None}
    flips: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for sample in np.flatnonzero(~transform.interpolated).tolist():
        flips[transform.mirror_axes(sample)].append(sample)
    flips.pop((), None)
    interpolated = np.flatnonzero(transform.interpolated)
    if len(interpolated) == len(transform.interpolated):
        return _interpolate(moved, transform, interpolated)
    if flips or len(interpolated):
        moved = {key: value.clone() for key, value in moved.items()}
    for axes, samples in flips.items():
        for value in moved.values():
            value[samples] = value[samples].flip([2 + axis for axis in axes])
    if len(interpolated):
        rows = torch.from_numpy(interpolated).to(batch["image"].device)
        some = {key: batch[key].index_select(0, rows) for key in moved}
        for key, value in _interpolate(some, transform, interpolated).items():
            moved[key].index_copy_(0, rows, value)
    return moved


def _interpolate(
    some: dict[str, Tensor], transform: SpatialTransform, samples: Any
) -> dict[str, Tensor]:
    device = some["image"].device
    linear = torch.from_numpy(transform.linear[samples]).float().to(device)
    offset = torch.from_numpy(transform.offset[samples]).float().to(device)
    field = None
    if transform.control_points is not None and transform.control_points[samples].any():
        field = _displacement_field(transform.control_points[samples], transform.shape, device)
    values = warp(some["image"], some.get("mask"), linear, offset, field)
    return dict(zip(some, values, strict=True))


def _displacement_field(
    control_points: Array, shape: Sequence[int], device: torch.device
) -> Tensor:
    """(R, n, *S) displacements of every voxel."""
    count, n = control_points.shape[:2]
    basis = [
        torch.from_numpy(spline(np.arange(float(size)), size, cells - 3)).float().to(device)[None]
        for size, cells in zip(shape, control_points.shape[2:], strict=True)
    ]
    rows = (
        torch.from_numpy(control_points.reshape(count * n, *control_points.shape[2:]))
        .float()
        .to(device)
    )
    return apply_along_axes(rows, basis).view(count, n, *shape)
