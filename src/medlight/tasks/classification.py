"""One class per image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medlight.core.case_result import CaseResult, Row
from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.inference.ensemble import ensemble_predictor
from medlight.metrics.bootstrap import Interval
from medlight.metrics.classification import classification_intervals, summarise_classification
from medlight.metrics.names import CLASSIFICATION_POLICY
from medlight.tasks.base import Batch, Task

MIN_UNCHECKED_SIZE = 64
"""Images shorter than this, along any side, are tried before the run."""


class ClassificationTask(Task):
    """The net gives (B, K) logits; `loss` gets them with (B,) class indices.

    Attributes:
        temperature: what logits of whole cases are divided by; see `medlight.metrics.calibration`.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = self.spec.shape
        if shape and min(shape) < MIN_UNCHECKED_SIZE:
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

    @classmethod
    def check_data(cls, spec: DataSpec) -> None:
        if spec.labels.kind != "multiclass":
            raise ConfigError(
                "task=classification needs one label per image, but the data has masks; "
                "choose task=segmentation, or data with labels"
            )

    @property
    def policy(self) -> str:
        return CLASSIFICATION_POLICY

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *S) to (B, K) logits."""
        logits: Tensor = self.net(image.contiguous(memory_format=self.memory_format))
        return logits

    def step(self, batch: Batch) -> Tensor:
        return self.loss(self(batch["image"]), batch["label"])

    def infer(self, batch: Batch) -> list[CaseResult]:
        logits = ensemble_predictor(self.ensemble or [self])(batch["image"])
        probabilities = (logits.float() / self.temperature).softmax(dim=1).cpu()
        images = batch["image"].float().cpu().numpy()
        labels = batch["label"].tolist() if "label" in batch else [None] * len(images)
        names = self.spec.labels.names
        results = []
        for case, image, truth, p in zip(batch["case"], images, labels, probabilities, strict=True):
            row: Row = {"case": case}
            if truth is not None:
                row["truth"] = names[truth]
            row["prediction"] = names[int(p.argmax())]
            row |= {f"p_{name}": float(value) for name, value in zip(names, p, strict=True)}
            row["uncertainty"] = 1 - float(p.max())
            results.append(CaseResult(case=case, rows=(row,), image=image))
        return results

    def summarise(self, rows: Sequence[Row]) -> dict[str, float]:
        return summarise_classification(rows, self.spec.labels.names)

    def intervals(self, rows: Sequence[Row]) -> dict[str, Interval]:
        return classification_intervals(rows, self.spec.labels.names)
