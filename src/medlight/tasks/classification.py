"""One class per image."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from medlight.core.case_result import Row
from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.inference.ensemble import ensemble_predictor
from medlight.inference.heads import entropy
from medlight.tasks.image_task import ImageTask
from medlight.tasks.multiclass_outcome import MulticlassOutcome


class ClassificationTask(ImageTask):
    """The net gives (B, K) logits; `loss` gets them with (B,) class indices.

    Attributes:
        temperature: what logits of whole cases are divided by; see `medlight.metrics.calibration`.
    """

    temperature: float = 1.0

    @classmethod
    def check_data(cls, spec: DataSpec) -> None:
        if spec.labels.kind != "multiclass":
            raise ConfigError(
                "task=classification needs one label per image, but the data has "
                f"{spec.labels.describe()}; choose task={spec.labels.suggested_task}"
            )

    def build_outcome(self) -> MulticlassOutcome:
        return MulticlassOutcome(self.spec.labels.names)

    def calibrate(self, temperature: float) -> None:
        """Divide the logits of whole cases by a temperature from now on."""
        self.temperature = temperature

    def activate(self, output: Tensor) -> Tensor:
        return (output / self.temperature).softmax(dim=1)

    def decide(self, output: Tensor) -> Tensor:
        return output.argmax(dim=0)

    def values(self, nets: Sequence[Callable[[Tensor], Tensor]], images: Tensor) -> Tensor:
        return self.activate(ensemble_predictor(nets)(images).float())

    def answer(self, values: Tensor) -> Row:
        names = self.spec.labels.names
        row: Row = {"prediction": names[int(values.argmax())]}
        return row | {f"p_{name}": float(p) for name, p in zip(names, values, strict=True)}

    def truth(self, label: Any) -> Row:
        return {"truth": self.spec.labels.names[label]}

    def uncertainty(self, values: Tensor) -> float:
        return 1 - float(values.max())

    def entropy(self, values: Tensor) -> Tensor:
        largest = math.log(max(values.shape[1], 2))
        return entropy(values.clamp_min(torch.finfo(values.dtype).tiny).log(), dim=1) / largest
