"""Which case comes when: functions of (seed, epoch, draw), never of workers, ranks or history."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from medlight.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """One sample to make: the row of its case, and its place in the run."""

    row: int
    epoch: int
    position: int


def rng_of(seed: int, epoch: int, position: int) -> np.random.Generator:
    """The random numbers of one draw, the same on every machine."""
    return np.random.default_rng([seed, epoch, position])


class TrainBatchSampler(Sampler[list[SampleIndex]]):
    """Full batches of draws for one rank.

    Draws go through permutations of the cases one after another, across epochs, so that every
    case is seen equally often whatever the length of an epoch. A global batch is cut between the
    ranks, so that n ranks of batch b see what one process with batch n * b sees.

    Args:
        cases: how many there are.
        batch_size: on each rank.
        samples: in an epoch, of all ranks; None: as many as there are cases.
        seed: of the order.
        rank, world_size: of this process, and how many there are.
        epoch, skip: where to begin: a run that resumes has seen `skip` batches of `epoch`. The
            length stays that of a whole epoch.
    """

    def __init__(
        self,
        cases: int,
        *,
        batch_size: int,
        samples: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        epoch: int = 0,
        skip: int = 0,
    ) -> None:
        self.cases, self.batch_size, self.seed = cases, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.batches = max(1, round((samples or cases) / (batch_size * world_size)))
        self.epoch, self.skip = epoch, skip
        self.sampler = self  # Lightning looks for set_epoch on a loader's batch_sampler.sampler

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        per_batch = self.batch_size * self.world_size
        permutation, current = np.empty(0, np.int64), -1
        first, self.skip = self.skip, 0
        for batch in range(first, self.batches):
            start = batch * per_batch + self.rank * self.batch_size
            indices = []
            for position in range(start, start + self.batch_size):
                turn, place = divmod(self.epoch * self.batches * per_batch + position, self.cases)
                if turn != current:
                    permutation = np.random.default_rng([self.seed, turn]).permutation(self.cases)
                    current = turn
                indices.append(SampleIndex(int(permutation[place]), self.epoch, position))
            yield indices


def rank_batch_size(samples: int, world_size: int) -> int:
    """Share a global batch out between ranks. A run that resumes keeps that batch, on however many.

    Args:
        samples: of the global batch.
        world_size: how many ranks.

    Returns:
        Samples of each rank.

    Raises:
        ConfigError: it cannot be shared evenly.
    """
    if samples % world_size:
        raise ConfigError(
            f"a step of this run sees {samples} samples, which {world_size} processes cannot share "
            "evenly: give another trainer.devices"
        )
    return samples // world_size


class PaddingRow(int):
    """The row of a case that another rank has, too: it is looked at, but does not count."""


class EvalSampler(Sampler[int]):
    """Every case once over all ranks: no padding, so that no case is counted twice.

    Ranks do the same steps together, so one without a case gets the first one `PaddingRow`.
    """

    def __init__(self, cases: int, *, rank: int = 0, world_size: int = 1) -> None:
        idle = cases and rank >= cases
        self.rows: Sequence[int] = [PaddingRow(0)] if idle else range(rank, cases, world_size)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows)
