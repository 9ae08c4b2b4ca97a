"""Changes of intensity, each channel of each sample its own.

R rows: the chosen channels of the chosen samples. Amounts are relative to each row's own mean and
standard deviation, so that they mean the same for CT scaled to [0, 1] and for standardised MR.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medlight.augment.random import Draws, normal
from medlight.augment.spatial import check_range
from medlight.augment.warp import PIECE

SMALLEST = 1e-6
Numbers = tuple[NDArray[Any], ...]


@dataclass(frozen=True, kw_only=True)
class Intensity(ABC):
    """One change: numbers are drawn for every channel of the batch, then applied to the chosen.

    Attributes:
        probability: that a sample is changed.
        channel_probability: that a channel of such a sample is.
    """

    probability: float = 1.0
    channel_probability: float = 1.0

    @abstractmethod
    def draw(self, draws: Draws, channels: int) -> Numbers:
        """What `apply` needs, each (B, C, ...)."""

    @abstractmethod
    def apply(self, rows: Tensor, *numbers: Tensor) -> Tensor:
        """Change rows (R, *S) float32 by numbers, each (R, ...). A pure function."""

    def __call__(self, image: Tensor, draws: Draws) -> Tensor:
        """(B, C, *S), changed; of the same dtype."""
        chosen = self.chosen(draws, image.shape[1])
        if not chosen.any():
            return image
        picked = np.flatnonzero(chosen)
        numbers = [
            torch.from_numpy(values.reshape(chosen.size, *values.shape[2:])[picked])
            for values in self.draw(draws, image.shape[1])
        ]
        numbers = [n.float() if n.is_floating_point() else n for n in numbers]
        numbers = [n.to(image.device, non_blocking=True) for n in numbers]
        rows = image.flatten(0, 1)
        at = torch.from_numpy(picked).to(image.device)
        some = rows if len(picked) == len(rows) else rows.index_select(0, at)
        # On a CPU, few enough at a time for its cache.
        most = max(1, PIECE // rows[0].numel()) if rows.device.type == "cpu" else len(rows)
        parts = [
            self.apply(part.float(), *those).to(image.dtype)
            for part, *those in zip(*(t.split(most) for t in (some, *numbers)), strict=True)
        ]
        values = torch.cat(parts) if len(parts) > 1 else parts[0]
        if len(picked) < len(rows):
            values = rows.index_copy(0, at, values)
        return values.view_as(image)

    def chosen(self, draws: Draws, channels: int) -> NDArray[np.bool_]:
        """(B, C)."""
        sample = draws.chance(self.probability, 1)
        return sample & draws.chance(self.channel_probability, channels)


def column(values: Tensor, rows: Tensor) -> Tensor:
    """(R,) in the shape that broadcasts over rows (R, *S)."""
    return values.view(-1, *(1,) * (rows.ndim - 1))


def mean_of(rows: Tensor) -> Tensor:
    """(R, 1, ...)."""
    return column(rows.flatten(1).mean(1), rows)


def spread(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (R, 1, ...). Two passes: torch's std takes one, eighty times
    as long."""
    mean = mean_of(rows)
    variance = (rows - mean).square_().flatten(1).mean(1)
    return mean, column(variance.sqrt(), rows)


def ends(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest value, (R, 1, ...)."""
    flat = rows.flatten(1)
    return column(flat.amin(1), rows), column(flat.amax(1), rows)


def linear(rows: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """Both (R, 1, ...). In two steps: with one number a row in each, torch has vector code."""
    return (rows * factor).add_(shift)


@dataclass(frozen=True, kw_only=True)
class Brightness(Intensity):
    """Add up to `shift` standard deviations, either way, and multiply by a factor in `factor`."""

    shift: float = 0.0
    factor: Sequence[float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        check_range("Brightness.factor", self.factor)

    def draw(self, draws: Draws, channels: int) -> Numbers:
        shift = draws.between(-self.shift, self.shift, channels)
        return shift, draws.factor(self.factor, channels)

    def apply(self, rows: Tensor, *numbers: Tensor) -> Tensor:
        shift, factor = (column(n, rows) for n in numbers)
        if self.shift:
            shift = shift * spread(rows)[1]
        return linear(rows, factor, shift)


@dataclass(frozen=True, kw_only=True)
class Contrast(Intensity):
    """Stretch about the mean by a factor in `factor`.

    Attributes:
        keep_range: clip to the least and greatest value there were.
    """

    factor: Sequence[float] = (1.0, 1.0)
    keep_range: bool = False

    def __post_init__(self) -> None:
        check_range("Contrast.factor", self.factor)

    def draw(self, draws: Draws, channels: int) -> Numbers:
        return (draws.factor(self.factor, channels),)

    def apply(self, rows: Tensor, *numbers: Tensor) -> Tensor:
        factor = column(numbers[0], rows)
        stretched = linear(rows, factor, mean_of(rows) * (1 - factor))
        return stretched.clamp_(*ends(rows)) if self.keep_range else stretched


@dataclass(frozen=True, kw_only=True)
class Gamma(Intensity):
    """Raise intensities, scaled to [0, 1] between their ends, to a power in `power`.

    Attributes:
        invert: turn the scale around for it, which bends the bright end instead of the dark one.
        keep_statistics: restore mean and standard deviation afterwards.
    """

    power: Sequence[float] = (1.0, 1.0)
    invert: bool = False
    keep_statistics: bool = False

    def __post_init__(self) -> None:
        check_range("Gamma.power", self.power)

    def draw(self, draws: Draws, channels: int) -> Numbers:
        return (draws.factor(self.power, channels),)

    def apply(self, rows: Tensor, *numbers: Tensor) -> Tensor:
        low, high = ends(rows)
        start, span = (high, low - high) if self.invert else (low, high - low)
        # A constant row has no span: all of it stays at its start.
        scaled = (rows - start).div_(torch.where(span == 0, torch.ones_like(span), span))
        # exp(power * log) rather than pow, which is slower; log 0 gives 0 again.
        bent = scaled.log_().mul_(column(numbers[0], rows)).exp_()
        bent = bent.mul_(span).add_(start)
        if not self.keep_statistics:
            return bent
        (mean, deviation), (now_mean, now_deviation) = spread(rows), spread(bent)
        factor = deviation / now_deviation.clamp(min=SMALLEST)
        return linear(bent, factor, mean - now_mean * factor)


@dataclass(frozen=True, kw_only=True)
class Noise(Intensity):
    """Add Gaussian noise of a strength between the two numbers of `strength`, in standard
    deviations of the row. Independent in each channel."""

    strength: Sequence[float] = (0.0, 0.1)

    def draw(self, draws: Draws, channels: int) -> Numbers:
        low, high = self.strength
        return draws.between(low, high, channels), draws.keys(channels)

    def apply(self, rows: Tensor, *numbers: Tensor) -> Tensor:
        strength, keys = numbers
        sigma = column(strength, rows) * spread(rows)[1]
        return normal(keys, rows[0].numel()).view_as(rows).mul_(sigma).add_(rows)
