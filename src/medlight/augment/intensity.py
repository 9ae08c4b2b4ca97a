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

from medlight.augment.random import Draws, normal
from medlight.augment.rows import Rows
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
    def apply(self, rows: Rows, *numbers: Tensor) -> None:
        """Change rows by numbers, each (R, ...)."""

    def __call__(self, image: Tensor, draws: Draws) -> Tensor:
        """(B, C, *S), changed; of the same dtype."""
        return change(image, {"": self}, {"": draws})

    def chosen(self, draws: Draws, channels: int) -> NDArray[np.bool_]:
        """(B, C)."""
        sample = draws.chance(self.probability, 1)
        return sample & draws.chance(self.channel_probability, channels)


def change(image: Tensor, steps: Mapping[str, Intensity], draws: Mapping[str, Draws]) -> Tensor:
    """(B, C, *S), changed by one step after another; of the same dtype. What no step chose is
    not copied."""
    plans = [_Plan(step, image, draws[name]) for name, step in steps.items()]
    plans = [plan for plan in plans if plan.chosen.any()]
    if not plans:
        return image
    flat = image.flatten(0, 1)
    # On a CPU, few enough at a time for its cache, through all of the steps.
    most = max(1, PIECE // flat[0].numel()) if flat.device.type == "cpu" else len(flat)
    changed = torch.empty_like(flat) if most < len(flat) else None
    for start in range(0, len(flat), most):
        rows = Rows(flat[start : start + most].float())
        for plan in plans:
            plan.carry_out(rows, start)
        if changed is None:
            return rows.values().to(image.dtype).view_as(image)
        changed[start : start + most] = rows.values()
    return image if changed is None else changed.view_as(image)


class _Plan:
    """What one step does to the rows of a batch."""

    def __init__(self, step: Intensity, image: Tensor, draws: Draws) -> None:
        self._step = step
        self.chosen = step.chosen(draws, image.shape[1]).reshape(-1)
        drawn = step.draw(draws, image.shape[1]) if self.chosen.any() else ()
        self._numbers = [self._on(image.device, values) for values in drawn]

    def _on(self, device: torch.device, values: NDArray[Any]) -> Tensor:
        """(B * C, ...); 32 bits each."""
        kind = np.float32 if values.dtype.kind == "f" else values.dtype
        flat = values.reshape(len(self.chosen), *values.shape[2:])
        return torch.from_numpy(flat.astype(kind, copy=False)).to(device, non_blocking=True)

    def carry_out(self, rows: Rows, start: int) -> None:
        """Rows `start` and following of the batch."""
        numbers, chosen = self._numbers, self.chosen
        if len(rows) < len(chosen):
            chosen = chosen[start : start + len(rows)]
            numbers = [each[start : start + len(rows)] for each in numbers]
        if chosen.all():
            self._step.apply(rows, *numbers)
        elif chosen.any():
            at = torch.from_numpy(np.flatnonzero(chosen)).to(rows.device)
            some = rows.some(at)
            self._step.apply(some, *(each.index_select(0, at) for each in numbers))
            rows.put(at, some)


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

    def apply(self, rows: Rows, *numbers: Tensor) -> None:
        shift, factor = map(rows.column, numbers)
        rows.linear(factor, shift * rows.deviation() if self.shift else shift)


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

    def apply(self, rows: Rows, *numbers: Tensor) -> None:
        factor, ends = rows.column(numbers[0]), rows.ends() if self.keep_range else None
        rows.linear(factor, rows.mean() * (1 - factor))
        if ends is not None:
            rows.replace(rows.values().clamp(*ends))


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

    def apply(self, rows: Rows, *numbers: Tensor) -> None:
        before = (rows.mean(), rows.deviation()) if self.keep_statistics else None
        scaled = rows.between_ends(invert=self.invert)
        # Rather than pow, which takes twice as long; log 0 gives 0 again.
        scaled.log2_().mul_(rows.column(numbers[0])).exp2_()
        if before is not None:
            mean, deviation = before
            factor = deviation / rows.deviation().clamp(min=SMALLEST)
            rows.linear(factor, mean - rows.mean() * factor)


@dataclass(frozen=True, kw_only=True)
class Noise(Intensity):
    """Add Gaussian noise of a strength between the two numbers of `strength`, in standard
    deviations of the row. Independent in each channel."""

    strength: Sequence[float] = (0.0, 0.1)

    def draw(self, draws: Draws, channels: int) -> Numbers:
        low, high = self.strength
        return draws.between(low, high, channels), draws.keys(channels)

    def apply(self, rows: Rows, *numbers: Tensor) -> None:
        strength, keys = numbers
        noise = normal(keys, rows.shape.numel()).view(-1, *rows.shape)
        noise.mul_(rows.column(strength) * rows.deviation())
        rows.replace(noise.add_(rows.values()))
