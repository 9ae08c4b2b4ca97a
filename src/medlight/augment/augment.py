"""One batch in, one batch out: each sample changed in its own way."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from medlight.augment import intensity, spatial
from medlight.augment.random import Draws
from medlight.core.errors import ConfigError


class Augment:
    """Flips, then one affine map, then intensities. Everything defaults to off.

    Args:
        flip: probability of mirroring, for each of the axes.
        flip_axes: "all", or "left-right": the first axis of a volume, the last of an image.
        affine: probability of the affine map.
        rotate_degrees, scale, shift: its ranges; see `spatial.random_affine`.
        intensity: probability, for each of the four below that is not 0.
        brightness, contrast, gamma, noise: their ranges; see `medlight.augment.intensity`.
    """

    def __init__(
        self,
        *,
        flip: float = 0.0,
        flip_axes: Literal["all", "left-right"] = "all",
        affine: float = 0.0,
        rotate_degrees: float = 0.0,
        scale: float = 0.0,
        shift: float = 0.0,
        intensity: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        gamma: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        if flip_axes not in ("all", "left-right"):
            raise ConfigError(f"augment.flip_axes must be all or left-right, got {flip_axes}")
        self.flip, self.flip_axes = flip, flip_axes
        self.affine, self.intensity = affine, intensity
        self.rotate_degrees, self.scale, self.shift = rotate_degrees, scale, shift
        self.brightness, self.contrast = brightness, contrast
        self.gamma, self.noise = gamma, noise

    @torch.no_grad()
    def __call__(self, batch: dict[str, Any], *, seed: int, epoch: int) -> dict[str, Any]:
        """Augment `image`, and `mask` where there is one, by the samples' `draw`s."""
        draws = Draws(seed=seed, epoch=epoch, draw=batch["draw"])
        shape = batch["image"].shape[2:]
        if self.flip:
            lateral = 0 if len(shape) == 3 else 1
            axes = range(len(shape)) if self.flip_axes == "all" else [lateral]
            batch = spatial.flip(batch, draws, self.flip, axes)
        if self.affine:
            matrices = spatial.random_affine(
                draws, shape, rotate_degrees=self.rotate_degrees, scale=self.scale, shift=self.shift
            )
            batch = spatial.affine(batch, matrices, draws.chance(self.affine))
        return {**batch, "image": self._intensities(batch["image"], draws)}

    def _intensities(self, image: Tensor, draws: Draws) -> Tensor:
        if self.brightness or self.contrast:
            image = self._sometimes(
                image,
                draws,
                lambda some: intensity.brightness_contrast(
                    some, draws, brightness=self.brightness, contrast=self.contrast
                ),
            )
        if self.gamma:
            image = self._sometimes(
                image, draws, lambda some: intensity.gamma(some, draws, strength=self.gamma)
            )
        if self.noise:
            image = self._sometimes(
                image, draws, lambda some: intensity.noise(some, draws, strength=self.noise)
            )
        return image

    def _sometimes(self, image: Tensor, draws: Draws, change: Callable[[Tensor], Tensor]) -> Tensor:
        chosen = draws.chance(self.intensity).view(-1, *(1,) * (image.ndim - 1))
        return torch.where(chosen, change(image), image)
