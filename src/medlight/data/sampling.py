"""Which case comes when: functions of (seed, epoch, draw), never of workers, ranks or history."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from medlight.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample to make: the row of its case, and its place in the run."""

    row: int
    epoch: int
    draw: int


def generator(seed: int, epoch: int, draw: int) -> np.random.Generator:
    """The random numbers of one draw, the same on every machine."""
    return np.random.default_rng([seed, epoch, draw])


class TrainBatches(Sampler[list[Draw]]):
    """Full batches of draws for one rank.

    Draws go through permutations of the cases one after another, across epochs, so that every
    case is seen equally often whatever the length of an epoch. A global batch is cut between the
    ranks, so that n ranks of batch b see what one process with batch n * b sees.

    Args:
        cases: how many there are.
        batch_size: on each rank.
        samples: in an epoch, of all ranks; None: as many as there are cases.
        seed: of the order.
        rank, ranks: of this process, and how many there are.
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
        ranks: int = 1,
        epoch: int = 0,
        skip: int = 0,
    ) -> None:
        self.cases, self.batch_size, self.seed = cases, batch_size, seed
        self.rank, self.ranks = rank, ranks
        self.batches = max(1, round((samples or cases) / (batch_size * ranks)))
        self.epoch, self.skip = epoch, skip
        self.sampler = self  # Lightning looks for set_epoch on a loader's batch_sampler.sampler

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Draw]]:
        per_batch = self.batch_size * self.ranks
        permutation, held = np.empty(0, np.int64), -1
        first, self.skip = self.skip, 0
        for batch in range(first, self.batches):
            start = batch * per_batch + self.rank * self.batch_size
            draws = []
            for draw in range(start, start + self.batch_size):
                turn, place = divmod(self.epoch * self.batches * per_batch + draw, self.cases)
                if turn != held:
                    permutation = np.random.default_rng([self.seed, turn]).permutation(self.cases)
                    held = turn
                draws.append(Draw(int(permutation[place]), self.epoch, draw))
            yield draws


def share(samples: int, ranks: int) -> int:
    """How many samples of a global batch each rank gets. A run that resumes keeps that batch, on
    however many ranks."""
    if samples % ranks:
        raise ConfigError(
            f"a step of this run sees {samples} samples, which {ranks} processes cannot share "
            "evenly: give another trainer.devices"
        )
    return samples // ranks


class Again(int):
    """The row of a case that another rank has, too: it is looked at, but does not count."""


class EvalCases(Sampler[int]):
    """Every case once over all ranks: no padding, so that no case is counted twice.

    Ranks do the same steps together, so one without a case gets the first one `Again`.
    """

    def __init__(self, cases: int, *, rank: int = 0, ranks: int = 1) -> None:
        idle = cases and rank >= cases
        self.rows: Sequence[int] = [Again(0)] if idle else range(rank, cases, ranks)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows)
