"""Changes of intensity, each channel of each sample its own.

R rows: the chosen channels of the chosen samples. Amounts are relative to each row's own mean and
standard deviation, so that they mean the same for CT scaled to [0, 1] and for standardised MR.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medlight.augment.channel_batch import ChannelBatch
from medlight.augment.random import RandomStreams, normal
from medlight.augment.spatial import check_range
from medlight.augment.warp import CPU_CHUNK_VOXELS

EPSILON = 1e-6
Params = tuple[NDArray[Any], ...]


@dataclass(frozen=True, kw_only=True)
class IntensityStep(ABC):
    """One change: numbers are drawn for every channel of the batch, then applied to the chosen.

    Attributes:
        probability: that a sample is changed.
        channel_probability: that a channel of such a sample is.
    """

    probability: float = 1.0
    channel_probability: float = 1.0

    @abstractmethod
    def randomize(self, rng: RandomStreams, channels: int) -> Params:
        """Draw what `apply` needs.

        Args:
            rng: the numbers of the batch.
            channels: C.

        Returns:
            Arrays, (B, C, ...) each.
        """

    @abstractmethod
    def apply(self, rows: ChannelBatch, *params: Tensor) -> None:
        """Change rows in place.

        Args:
            rows: the chosen channels of the chosen samples.
            params: what `randomize` drew for them, (R, ...) each.
        """

    def __call__(self, image: Tensor, rng: RandomStreams) -> Tensor:
        """(B, C, *S), changed; of the same dtype."""
        return apply_steps(image, {"": self}, {"": rng})

    def selected(self, rng: RandomStreams, channels: int) -> NDArray[np.bool_]:
        """Choose the channels of samples that are changed.

        Args:
            rng: the numbers of the batch.
            channels: C.

        Returns:
            (B, C).
        """
        sample = rng.bernoulli(self.probability, 1)
        return sample & rng.bernoulli(self.channel_probability, channels)


def apply_steps(
    image: Tensor, steps: Mapping[str, IntensityStep], rng: Mapping[str, RandomStreams]
) -> Tensor:
    """(B, C, *S), changed by one step after another; of the same dtype. What no step chose is
    not copied."""
    plans = [_Plan(step, image, rng[name]) for name, step in steps.items()]
    plans = [plan for plan in plans if plan.selected.any()]
    if not plans:
        return image
    flat = image.flatten(0, 1)
    # On a CPU, few enough at a time for its cache, through all of the steps.
    most = max(1, CPU_CHUNK_VOXELS // flat[0].numel()) if flat.device.type == "cpu" else len(flat)
    changed = torch.empty_like(flat) if most < len(flat) else None
    for start in range(0, len(flat), most):
        rows = ChannelBatch(flat[start : start + most].float())
        for plan in plans:
            plan.apply_to(rows, start)
        if changed is None:
            return rows.values().to(image.dtype).view_as(image)
        changed[start : start + most] = rows.values()
    return image if changed is None else changed.view_as(image)


class _Plan:
    """What one step does to the rows of a batch."""

    def __init__(self, step: IntensityStep, image: Tensor, rng: RandomStreams) -> None:
        self._step = step
        self.selected = step.selected(rng, image.shape[1]).reshape(-1)
        drawn = step.randomize(rng, image.shape[1]) if self.selected.any() else ()
        self._numbers = [self._on(image.device, values) for values in drawn]

    def _on(self, device: torch.device, values: NDArray[Any]) -> Tensor:
        """(B * C, ...); 32 bits each."""
        kind = np.float32 if values.dtype.kind == "f" else values.dtype
        flat = values.reshape(len(self.selected), *values.shape[2:])
        return torch.from_numpy(flat.astype(kind, copy=False)).to(device, non_blocking=True)

    def apply_to(self, rows: ChannelBatch, start: int) -> None:
        """Rows `start` and following of the batch."""
        params, selected = self._numbers, self.selected
        if len(rows) < len(selected):
            selected = selected[start : start + len(rows)]
            params = [each[start : start + len(rows)] for each in params]
        if selected.all():
            self._step.apply(rows, *params)
        elif selected.any():
            at = torch.from_numpy(np.flatnonzero(selected)).to(rows.device)
            subset = rows.subset(at)
            self._step.apply(subset, *(each.index_select(0, at) for each in params))
            rows.assign(at, subset)


@dataclass(frozen=True, kw_only=True)
class Brightness(IntensityStep):
    """Add up to `shift` standard deviations, either way, and multiply by a factor in `factor`."""

    shift: float = 0.0
    multiplier: Sequence[float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        check_range("Brightness.multiplier", self.multiplier)

    def randomize(self, rng: RandomStreams, channels: int) -> Params:
        shift = rng.between(-self.shift, self.shift, channels)
        return shift, rng.balanced_factor(self.multiplier, channels)

    def apply(self, rows: ChannelBatch, *params: Tensor) -> None:
        shift, multiplier = map(rows.column, params)
        rows.scale_shift(multiplier, shift * rows.std() if self.shift else shift)


@dataclass(frozen=True, kw_only=True)
class Contrast(IntensityStep):
    """Stretch about the mean by a factor in `factor`.

    Attributes:
        preserve_range: clip to the least and greatest value there were.
    """

    multiplier: Sequence[float] = (1.0, 1.0)
    preserve_range: bool = False

    def __post_init__(self) -> None:
        check_range("Contrast.multiplier", self.multiplier)

    def randomize(self, rng: RandomStreams, channels: int) -> Params:
        return (rng.balanced_factor(self.multiplier, channels),)

    def apply(self, rows: ChannelBatch, *params: Tensor) -> None:
        multiplier, value_range = (
            rows.column(params[0]),
            rows.value_range() if self.preserve_range else None,
        )
        rows.scale_shift(multiplier, rows.mean() * (1 - multiplier))
        if value_range is not None:
            rows.replace(rows.values().clamp(*value_range))


@dataclass(frozen=True, kw_only=True)
class Gamma(IntensityStep):
    """Raise intensities, scaled to [0, 1] between their ends, to a power in `gamma`.

    Attributes:
        invert: turn the scale around for it, which bends the bright end instead of the dark one.
        retain_stats: restore mean and standard deviation afterwards.
    """

    gamma: Sequence[float] = (1.0, 1.0)
    invert: bool = False
    retain_stats: bool = False

    def __post_init__(self) -> None:
        check_range("Gamma.gamma", self.gamma)

    def randomize(self, rng: RandomStreams, channels: int) -> Params:
        return (rng.balanced_factor(self.gamma, channels),)

    def apply(self, rows: ChannelBatch, *params: Tensor) -> None:
        before = (rows.mean(), rows.std()) if self.retain_stats else None
        scaled = rows.rescale_to_unit(invert=self.invert)
        # Rather than pow, which takes twice as long; log 0 gives 0 again.
        scaled.log2_().mul_(rows.column(params[0])).exp2_()
        if before is not None:
            mean, std = before
            factor = std / rows.std().clamp(min=EPSILON)
            rows.scale_shift(factor, mean - rows.mean() * factor)


@dataclass(frozen=True, kw_only=True)
class GaussianNoise(IntensityStep):
    """Add Gaussian noise of a strength between the two numbers of `std`, in standard
    deviations of the row. Independent in each channel."""

    std: Sequence[float] = (0.0, 0.1)

    def randomize(self, rng: RandomStreams, channels: int) -> Params:
        low, high = self.std
        return rng.between(low, high, channels), rng.noise_keys(channels)

    def apply(self, rows: ChannelBatch, *params: Tensor) -> None:
        std, keys = params
        noise = normal(keys, rows.shape.numel()).view(-1, *rows.shape)
        noise.mul_(rows.column(std) * rows.std())
        rows.replace(noise.add_(rows.values()))
