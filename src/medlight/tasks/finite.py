"""Notice numbers that are not finite before they become weights, predictions or scores."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from medlight.core.errors import NonFiniteError
from medlight.io.atomic import atomic_path

ON_NAN = ("stop", "skip")


class FiniteFlag:
    """Whether a scalar is finite, without waiting for the GPU work queued after it.

    Args:
        value: a scalar; the answer is copied to the host as soon as it has been computed.
    """

    def __init__(self, value: Tensor) -> None:
        self._ok = torch.isfinite(value.detach()).to("cpu", non_blocking=True)
        self._event: Any = None
        if value.is_cuda:
            self._event = torch.cuda.Event()
            self._event.record()

    def __bool__(self) -> bool:
        if self._event is not None:
            self._event.synchronize()
        return bool(self._ok)


def nan_unless_finite(loss: Tensor, output_sum: Tensor | None) -> Tensor:
    """The loss; nan where the outputs behind it are not finite, though a loss may hide that."""
    if output_sum is None:
        return loss
    return torch.where(torch.isfinite(output_sum), loss, torch.full_like(loss, torch.nan))


def cases_not_finite(own_loss: Tensor, batch: Mapping[str, Any]) -> str:
    """Name the cases of the batches whose loss is not finite, on whichever rank they are.

    Args:
        own_loss: of this rank's batch.
        batch: of this rank, with its `case`s.
    """
    own = [] if torch.isfinite(own_loss) else [str(case) for case in batch.get("case", ())]
    parts = [own]
    if dist.is_available() and dist.is_initialized():
        parts = [[] for _ in range(dist.get_world_size())]
        dist.all_gather_object(parts, own)
    return ", ".join(case for part in parts for case in part) or "unknown"


def check_finite_parts(parts: Iterable[Tensor], case: str) -> Iterator[Tensor]:
    """Give the parts of a prediction as they come.

    Args:
        parts: logits, as `Slabs` has them.
        case: what the error names.

    Raises:
        NonFiniteError: one holds nan or infinity.
    """
    for part in parts:
        if not bool(part.sum() < torch.inf):  # minus infinity: the logarithm of a probability of 0
            raise NonFiniteError(_prediction_error([case]))
        yield part


def check_finite_values(values: Tensor, cases: Iterable[str]) -> None:
    """Check the answers for several images.

    Args:
        values: (B, K).
        cases: the B names.

    Raises:
        NonFiniteError: those of some cases are nan or infinite; it names them.
    """
    finite = torch.isfinite(values).all(1).tolist()
    wrong = [case for case, ok in zip(cases, finite, strict=True) if not ok]
    if wrong:
        raise NonFiniteError(_prediction_error(wrong))


def save_batch(path: Path, batch: Any, state: dict[str, Any], **where: int) -> None:
    """Write what reproduces a training step, readable with `torch.load(weights_only=True)`.

    Args:
        path: file to write.
        batch: its tensors and the ids of its cases are kept.
        state: weights of the task.
        where: step, epoch and batch of the epoch, from 1.
    """
    kept: dict[str, Any] = {
        key: value.cpu() for key, value in batch.items() if isinstance(value, Tensor)
    }
    kept["case"] = [str(case) for case in batch.get("case", ())]
    weights = {name: value.detach().cpu() for name, value in state.items()}
    with atomic_path(path) as part:
        torch.save({**where, "batch": kept, "state_dict": weights}, part)


def _prediction_error(cases: list[str]) -> str:
    shown = ", ".join(cases[:5]) + (", ..." if len(cases) > 5 else "")
    return (
        f"{shown}: the net's output is not finite (nan or infinity), so there is no prediction: "
        "the training diverged (train with a lower optimizer.lr) or the image holds such values"
    )
