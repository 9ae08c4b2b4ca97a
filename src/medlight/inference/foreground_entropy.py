"""How uncertain a segmentation is as a whole: one number a case, from logits as they come."""

from collections.abc import Iterator

import torch

from medlight.inference.heads import Head, SoftmaxHead
from medlight.inference.sliding_window import Slabs


class ForegroundEntropy:
    """Mean entropy of the voxels that are predicted as foreground, as a share of the largest there
    can be. Where nothing is predicted it is the largest entropy of any voxel: what was nearly
    found counts, and an image without a trace of foreground is certain.

    The background is left out, since it would make large images certain.
    """

    def __init__(self, head: Head = SoftmaxHead()) -> None:  # noqa: B008  # it is frozen
        self.head = head
        self._sum = self._count = self._largest = 0.0

    def accumulate(self, slabs: Slabs) -> Slabs:
        """The same parts; on the way, their entropy is added up."""

        def parts() -> Iterator[torch.Tensor]:
            for part in slabs.parts:
                # The first half of a prediction's work again, a part at a time: no map is kept.
                logits = part.float()
                max_entropy = self.head.max_entropy(len(part))
                entropy = self.head.entropy(self.head.log_probs(logits)) / max_entropy
                found = self.head.labels(logits) > 0
                self._sum += float(entropy[found].sum())
                self._count += int(found.sum())
                self._largest = max(self._largest, float(entropy.max()))
                yield part

        return Slabs(slabs.axis, parts())

    @property
    def value(self) -> float:
        """From 0, certain, to 1."""
        return self._sum / self._count if self._count else self._largest
