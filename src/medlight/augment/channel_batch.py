"""Images as rows under a linear map each, which is carried out when something asks for values.

Brightness, contrast and the two ends of a gamma then cost no pass over the voxels, and mean,
deviation and ends are measured once for all steps that need them.

R rows: channels of samples. Numbers of rows are (R, 1, ...), which broadcasts over (R, *S).
"""

import math

import torch
from torch import Tensor

SMALLEST_NORMAL = torch.finfo(torch.float32).tiny


def column(values: Tensor, rows: Tensor) -> Tensor:
    """(R,) in the shape that broadcasts over rows (R, *S)."""
    return values.view(-1, *(1,) * (rows.ndim - 1))


class ChannelBatch:
    """(R, *S) float32; `values` is not written to."""

    def __init__(self, values: Tensor) -> None:
        self._fill(values, own=False)

    def _fill(self, values: Tensor, *, own: bool) -> None:
        self._values, self._owned = values, own
        self._factor: Tensor | None = None
        self._shift: Tensor | None = None
        self._mean: Tensor | None = None
        self._std: Tensor | None = None
        self._value_range: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self._values)

    @property
    def device(self) -> torch.device:
        return self._values.device

    @property
    def shape(self) -> torch.Size:
        """*S."""
        return self._values.shape[1:]

    def column(self, numbers: Tensor) -> Tensor:
        """(R,) to (R, 1, ...)."""
        return column(numbers, self._values)

    def scale_shift(self, factor: Tensor, shift: Tensor) -> None:
        """Every voxel times `factor` plus `shift`, (R, 1, ...)."""
        if self._factor is None or self._shift is None:
            self._factor, self._shift = factor, shift
        else:
            self._factor, self._shift = self._factor * factor, self._shift * factor + shift

    def values(self) -> Tensor:
        """(R, *S), the map carried out; not to be written to."""
        if self._factor is not None and self._shift is not None:
            # In two steps: with one number a row in each, torch has vector code.
            factor, shift = self._factor, self._shift
            values = self._values.mul_(factor) if self._owned else self._values * factor
            self.replace(values.add_(shift))
        return self._values

    def replace(self, values: Tensor) -> None:
        """Hand over (R, *S) in place of what there was."""
        self._fill(values, own=True)

    def mean(self) -> Tensor:
        return self._mapped(self._own_mean())

    def std(self) -> Tensor:
        """Standard deviation. Two passes: torch's `std` takes one, twenty times as long."""
        if self._std is None:
            norm = torch.linalg.vector_norm((self._values - self._own_mean()).flatten(1), dim=1)
            self._std = self.column(norm / math.sqrt(self.shape.numel()))
        return self._std if self._factor is None else self._std * self._factor.abs()

    def value_range(self) -> tuple[Tensor, Tensor]:
        """Least and greatest value."""
        low, high = (self._mapped(end) for end in self._own_value_range())
        return torch.minimum(low, high), torch.maximum(low, high)

    def rescale_to_unit(self, *, invert: bool) -> Tensor:
        """Scale to [0, 1] from the least value to the greatest, or from the greatest with
        `invert`, and keep the map back. A constant row becomes 0.

        Returns:
            (R, *S) the scaled values, which may be written to: they are the new values.
        """
        start, end = reversed(self._own_value_range()) if invert else self._own_value_range()
        if self._factor is not None:
            turned = self._factor < 0
            start, end = torch.where(turned, end, start), torch.where(turned, start, end)
        span = end - start
        values = self._values.sub_(start) if self._owned else self._values - start
        values.mul_(torch.where(span.abs() < SMALLEST_NORMAL, 1.0, 1 / span))
        shift, factor = self._mapped(start), span if self._factor is None else span * self._factor
        self.replace(values)
        self.scale_shift(factor, shift)
        return values

    def subset(self, at: Tensor) -> "ChannelBatch":
        """A copy of the rows `at`."""
        picked = ChannelBatch(self._values.index_select(0, at))
        picked._owned = True
        if self._factor is not None and self._shift is not None:
            picked.scale_shift(self._factor.index_select(0, at), self._shift.index_select(0, at))
        return picked

    def assign(self, at: Tensor, subset: "ChannelBatch") -> None:
        """Take `subset` in place of the rows `at`."""
        values = self.values()
        copied = values.index_copy_ if self._owned else values.index_copy
        self.replace(copied(0, at, subset.values()))

    def _mapped(self, numbers: Tensor) -> Tensor:
        if self._factor is None or self._shift is None:
            return numbers
        return numbers * self._factor + self._shift

    def _own_mean(self) -> Tensor:
        if self._mean is None:
            self._mean = self.column(self._values.flatten(1).mean(1))
        return self._mean

    def _own_value_range(self) -> tuple[Tensor, Tensor]:
        if self._value_range is None:
            flat = self._values.flatten(1)
            self._value_range = self.column(flat.amin(1)), self.column(flat.amax(1))
        return self._value_range
