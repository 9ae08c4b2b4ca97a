"""Random numbers without a state: functions of (seed, epoch, draw), the same in any order."""

import math

import torch
from torch import Tensor

MASK_64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def _signed(value: int) -> int:
    value &= MASK_64
    return value - (1 << 64) if value >> 63 else value


def _mix(x: Tensor) -> Tensor:
    """splitmix64's finaliser (Steele, Lea and Flood 2014) on wrapping int64."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * _signed(factor)
    return x ^ ((x >> 31) & ((1 << 33) - 1))


class Draws:
    """A stream of numbers for each sample of a batch.

    Args:
        seed, epoch: of the run.
        draw: (B,) int64, positions of the samples in the epoch; their device is used.
    """

    def __init__(self, *, seed: int, epoch: int, draw: Tensor) -> None:
        state = torch.full_like(draw, _signed(seed * GOLDEN))
        for part in (torch.full_like(draw, epoch), draw):
            state = _mix(state + (part + 1) * _signed(GOLDEN))
        self._state, self._used = state, 0

    def uniform(self, *shape: int) -> Tensor:
        """(B, *shape) float32 in [0, 1)."""
        count = math.prod(shape)
        steps = torch.arange(self._used + 1, self._used + count + 1, device=self._state.device)
        self._used += count
        bits = _mix(self._state[:, None] + steps[None] * _signed(GOLDEN))
        fraction = ((bits >> 40) & 0xFFFFFF).float() / (1 << 24)
        return fraction.view(len(self._state), *shape)

    def between(self, low: float, high: float, *shape: int) -> Tensor:
        """(B, *shape) float32 in [low, high)."""
        return low + (high - low) * self.uniform(*shape)

    def chance(self, probability: float) -> Tensor:
        """(B,) bool, each true with this probability."""
        return self.uniform() < probability

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape) float32 standard normal (Box and Muller 1958)."""
        radius = torch.sqrt(-2 * torch.log1p(-self.uniform(*shape)))
        return radius * torch.cos(2 * math.pi * self.uniform(*shape))
