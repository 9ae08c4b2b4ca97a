"""One batch in, one batch out: each sample changed in its own way."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from medlight.augment.annotations import carry
from medlight.augment.intensity import Intensity, change
from medlight.augment.motion import Motion
from medlight.augment.move import move
from medlight.augment.random import Draws
from medlight.augment.spatial import Flip, Step


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
        spatial: Mapping[str, Step] | None = None,
        intensity: Mapping[str, Intensity] | None = None,
    ) -> None:
        self.spatial = {k: step for k, step in (spatial or {}).items() if step.probability > 0}
        self.intensity = {k: step for k, step in (intensity or {}).items() if step.probability > 0}

    def mirrored(self, n: int) -> tuple[int, ...]:
        """The spatial axes, of n, along which some step mirrors."""
        flips = [step for step in self.spatial.values() if isinstance(step, Flip)]
        return tuple(sorted({axis for flip in flips for axis in flip.mirrored(n)}))

    def motion(self, batch: Mapping[str, Any], draws: Draws) -> Motion:
        """Where each sample of the batch moves."""
        shape = batch["image"].shape[2:]
        if "spacing_mm" in batch:
            spacing = batch["spacing_mm"].cpu().numpy().astype(np.float64)
        else:
            spacing = np.ones((len(draws), len(shape)))
        motion = Motion.none(shape, spacing)
        streams = draws.streams(self.spatial)
        for name, step in self.spatial.items():
            motion = step.draw(streams[name], motion)
        return motion

    @torch.no_grad()
    def __call__(self, batch: dict[str, Any], *, seed: int, epoch: int) -> dict[str, Any]:
        """A new batch, by the samples' `draw`s; the old one is left as it was."""
        draws = Draws(seed=seed, epoch=epoch, draw=batch["draw"])
        if self.spatial:
            motion = self.motion(batch, draws)
            batch = {**batch, **move(batch, motion), **carry(batch, motion)}
        image = batch["image"]
        if self.intensity:
            image = change(image, self.intensity, draws.streams(self.intensity))
        return {**batch, "image": image}
