"""Tasks with one answer an image: a class, several labels, a number.

Shapes: B batch, C channels, *S spatial axes, K numbers that the net gives for an image.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from medlight.core.case_result import CaseResult, Row
from medlight.core.errors import ConfigError
from medlight.core.outcome import UNCERTAINTY
from medlight.tasks.base import Batch, Task
from medlight.tasks.finite import check_finite_values

SMALL = 64
"""Images shorter than this, along any side, are tried before the run."""


class ImageTask(Task):
    """The net gives (B, K) numbers; `loss` gets them with the batch's `label`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = self.spec.shape
        if shape and min(shape) < SMALL:
            self._check_image_size(shape)

    def _check_image_size(self, shape: Sequence[int]) -> None:
        """Nets that halve an image often have nothing left of a small one."""
        image = torch.zeros(1, self.spec.channels, *shape)
        try:
            with torch.inference_mode():
                self.net.eval()(image)
        except (RuntimeError, ValueError) as error:
            size = "x".join(map(str, shape))
            raise ConfigError(
                f"{type(self.net).__name__} cannot take images of {size} ({error}); make them "
                "larger (transforms.size, data.patch), or choose model=resnet_fast"
            ) from error
        self.net.train()

    @abstractmethod
    def activate(self, output: Tensor) -> Tensor:
        """(B, K) output of the net to what it stands for: probabilities, or numbers as they are."""

    @abstractmethod
    def answer(self, values: Tensor) -> Row:
        """(K,) activated values of a case to its columns of answers."""

    @abstractmethod
    def truth(self, label: Any) -> Row:
        """The target of a case, as plain numbers, to its columns of truth."""

    def case_scores(self, truth: Any, values: Tensor) -> Row:
        """Columns with the scores of a case, if cases.csv holds any."""
        return {}

    def uncertainty(self, values: Tensor) -> float | None:
        """How uncertain (K,) values are; None if they do not say."""
        return None

    def entropy(self, values: Tensor) -> Tensor | None:
        """(B, K) values to (B,) entropies, as a share of the largest there can be; None if they
        are no probabilities."""
        return None

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *S) to (B, K)."""
        output: Tensor = self.net(image.contiguous(memory_format=self.memory_format))
        return output

    def step(self, batch: Batch) -> Tensor:
        output = self(batch["image"])
        self.watch_output(output)
        return self.loss(output, batch["label"])

    def values(self, nets: Sequence[Callable[[Tensor], Tensor]], images: Tensor) -> Tensor:
        """(B, C, *S) images to (B, K) activated values: the mean over nets."""
        return torch.stack([self.activate(net(images).float()) for net in nets]).mean(0)

    def infer(self, batch: Batch) -> list[CaseResult]:
        values = self.values(self.nets, batch["image"]).cpu()
        check_finite_values(values, batch["case"])
        images = batch["image"].float().cpu().numpy()
        labels = batch["label"].tolist() if "label" in batch else [None] * len(images)
        results = []
        for case, image, label, own in zip(batch["case"], images, labels, values, strict=True):
            row: Row = {"case": case}
            if label is not None:
                row |= self.truth(label)
            row |= self.answer(own)
            if label is not None:
                row |= self.case_scores(label, own)
            if (uncertainty := self.uncertainty(own)) is not None:
                row[UNCERTAINTY] = uncertainty
            results.append(CaseResult(case=case, rows=(row,), image=image))
        return results
