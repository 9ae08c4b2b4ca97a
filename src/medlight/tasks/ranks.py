"""What the processes of a training tell each other."""

import torch.distributed as dist
from torch import Tensor

from medlight.core.case_result import Row


def all_reduce_mean(value: Tensor) -> Tensor:
    """The mean over all ranks. Lightning's own waits for all of them whenever one looks at it."""
    if dist.is_available() and dist.is_initialized():
        value = value.clone()
        dist.all_reduce(value)
        value /= dist.get_world_size()
    return value


def gather_rows(rows: list[Row]) -> list[Row]:
    """The rows of all ranks, on all ranks. Every case is on one rank only, so none counts twice."""
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    parts: list[list[Row]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, rows)
    return [row for part in parts for row in part]
