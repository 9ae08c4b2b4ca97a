"""Random numbers without a state: functions of (seed, epoch, draw), the same in any order.

Parameters are drawn on the host, in NumPy: they are few, and what is known there decides which
samples to process without waiting for a device. Noise is made where the image is.
"""

import math
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NOISE_LEVELS = 1 << 15
"""Different values that noise takes."""
GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
PREFETCH = 16
"""Numbers of a stream that are made before anybody asks."""


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finaliser (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class RandomStreams:
    """A stream of numbers for each sample of a batch.

    Args:
        seed, epoch: of the run.
        position: (B,) int64, positions of the samples in the epoch.
    """

    def __init__(self, *, seed: int, epoch: int, position: Tensor) -> None:
        # Each part is mixed before the next is added: seed 1 in epoch 2 is not seed 2 in epoch 1.
        state = np.zeros((len(position), 1), np.uint64)
        for part in (seed % (1 << 64), epoch, position.cpu().numpy()[:, None]):
            state = _mix(state + (np.array(part, np.uint64, ndmin=1) + np.uint64(1)) * GOLDEN_GAMMA)
        self._begin(state, state[:, :0])

    def _begin(self, state: NDArray[np.uint64], ahead: NDArray[np.uint64]) -> None:
        self._state, self._prefetched, self._used = state, ahead, 0

    def streams(self, names: Iterable[str]) -> "dict[str, RandomStreams]":
        """Numbers of their own for each step: what one takes changes nothing for the others.

        The first of all of them are made at once: what takes time is the call, not the numbers.
        """
        branches = {name: object.__new__(RandomStreams) for name in names}
        marks = np.array([zlib.crc32(name.encode()) for name in branches], np.uint64)
        states = _mix(self._state[:, 0] ^ _mix(marks)[:, None])[..., None]
        ahead = _mix(states + np.arange(1, PREFETCH + 1, dtype=np.uint64) * GOLDEN_GAMMA)
        for branch, state, first in zip(branches.values(), states, ahead, strict=True):
            branch._begin(state, first)
        return branches

    def __len__(self) -> int:
        return len(self._state)

    def _bits(self, count: int) -> NDArray[np.uint64]:
        start, self._used = self._used, self._used + count
        if self._used <= self._prefetched.shape[1]:
            return self._prefetched[:, start : self._used]
        return _mix(
            self._state + np.arange(start + 1, self._used + 1, dtype=np.uint64) * GOLDEN_GAMMA
        )

    def uniform(self, *shape: int) -> NDArray[np.float64]:
        """(B, *shape) in [0, 1)."""
        whole = self._bits(math.prod(shape)) >> np.uint64(11)
        return whole.astype(np.float64).reshape(len(self), *shape) * 2.0**-53

    def between(self, low: float, high: float, *shape: int) -> NDArray[np.float64]:
        """Draw uniformly.

        Args:
            low, high: the range, without its end.
            shape: of what is drawn for each sample.

        Returns:
            (B, *shape).
        """
        return low + (high - low) * self.uniform(*shape)

    def balanced_factor(self, ends: Sequence[float], *shape: int) -> NDArray[np.float64]:
        """(B, *shape) between two ends, as often below 1 as above, uniform on either side.

        A range on one side of 1 is uniform throughout. This is how batchgenerators (Isensee et
        al. 2020) draws contrasts and gammas: [0.5, 2] enlarges no more often than it shrinks.
        """
        u, (low, high) = self.uniform(*shape), ends
        if not low < 1 < high:
            return low + (high - low) * u
        return np.where(u < 0.5, low + (1 - low) * 2 * u, 1 + (high - 1) * (2 * u - 1))

    def bernoulli(self, probability: float, *shape: int) -> NDArray[np.bool_]:
        """(B, *shape), each true with this probability."""
        if probability >= 1:  # as many numbers are used up
            self._used += math.prod(shape)
            return np.ones((len(self), *shape), np.bool_)
        return self.uniform(*shape) < probability

    def noise_keys(self, *shape: int) -> NDArray[np.int32]:
        """(B, *shape) seeds for `normal`."""
        bits = (self._bits(math.prod(shape)) >> np.uint64(32)).astype(np.uint32)
        return bits.view(np.int32).reshape(len(self), *shape)


def _scramble(x: Tensor) -> Tensor:
    """32 bits to 32 bits, in place: Wellons' lowbias32 (2018). Shifts of int32 carry the sign, so
    they are masked."""
    shifted = torch.empty_like(x)
    for shift, balanced_factor in ((16, 0x7FEB352D), (15, 0x846CA68B - (1 << 32)), (16, 1)):
        torch.bitwise_right_shift(x, shift, out=shifted)
        x ^= shifted.bitwise_and_((1 << (32 - shift)) - 1)
        if balanced_factor != 1:
            x *= balanced_factor
    return x


@lru_cache(maxsize=8)
def _quantiles(device: torch.device) -> Tensor:
    """(LEVELS,) equally likely values of a standard normal variable, of variance 1."""
    middle = (torch.arange(NOISE_LEVELS, dtype=torch.float64) + 0.5) / NOISE_LEVELS
    values = math.sqrt(2) * torch.erfinv(2 * middle - 1)
    return (values / values.square().mean().sqrt()).float().to(device)


def normal(keys: Tensor, count: int) -> Tensor:
    """Standard normal noise from a counter and a key, up to 4.2 standard deviations.

    One hash of 32 bits gives two numbers, each looked up in a table by 15 of them: half the time
    of Box and Muller's formula or torch's own sequential generator, and the same on every device.

    Args:
        keys: (R,) int32; their device is used.
        count: numbers for each key.

    Returns:
        (R, count) float32.
    """
    counter = torch.arange((count + 1) // 2, dtype=torch.int32, device=keys.device)
    bits = _scramble(counter + keys[:, None])
    bits &= (NOISE_LEVELS - 1) * 0x10001
    level = bits.view(torch.int16).int()
    values = _quantiles(keys.device).index_select(0, level.flatten())
    return values.view_as(level)[:, :count]
