"""How uncertain a segmentation is as a whole: one number a case, from logits as they come."""

from torch import Tensor

from medlight.inference.heads import Head, SoftmaxHead


class ForegroundEntropy:
    """Mean entropy of the voxels predicted as foreground, as a share of the largest there can be.

    If nothing is predicted it is the largest entropy of any voxel: what was nearly found counts,
    and an image without a trace of foreground is certain. The background is left out, since it
    would make large images certain.
    """

    def __init__(self, head: Head = SoftmaxHead()) -> None:  # noqa: B008  # it is frozen
        self.head = head
        self._sum = self._count = self._largest = 0.0

    def add(self, part: Tensor) -> None:
        """Take (K, *S) logits of some planes; no map of the image is kept."""
        logits = part.float()
        max_entropy = self.head.max_entropy(len(part))
        entropy = self.head.entropy(self.head.log_probs(logits)) / max_entropy
        foreground = self.head.labels(logits) > 0
        self._sum += float(entropy[foreground].sum())
        self._count += int(foreground.sum())
        self._largest = max(self._largest, float(entropy.max()))

    @property
    def value(self) -> float:
        """From 0, certain, to 1."""
        return self._sum / self._count if self._count else self._largest
