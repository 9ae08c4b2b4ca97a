"""Any of several labels per image, nan for those nobody looked for."""

import math
from typing import Any

import torch
from torch import Tensor

from medlight.core.case_result import Row
from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.inference.heads import entropy
from medlight.tasks.image_task import ImageTask
from medlight.tasks.multilabel_outcome import MultilabelOutcome


class MultilabelTask(ImageTask):
    """The net gives (B, K) logits; `loss` gets them with (B, K) targets: 1, 0, nan, -1 uncertain.

    Uncertain labels are not scored. The uncertainty of a case is the mean over its labels.
    """

    @classmethod
    def check_data(cls, spec: DataSpec) -> None:
        if spec.labels.kind != "multilabel":
            raise ConfigError(
                "task=multilabel needs several labels per image, but the data has "
                f"{spec.labels.describe()}; choose task={spec.labels.suggested_task}"
            )

    def build_outcome(self) -> MultilabelOutcome:
        return MultilabelOutcome(self.spec.labels.names)

    def activate(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def decide(self, output: Tensor) -> Tensor:
        return output > 0

    def answer(self, values: Tensor) -> Row:
        names = self.spec.labels.names
        return {f"p_{name}": float(p) for name, p in zip(names, values, strict=True)}

    def truth(self, label: Any) -> Row:
        names = self.spec.labels.names
        return {
            f"truth_{name}": value if value in (0, 1) else math.nan
            for name, value in zip(names, label, strict=True)
        }

    def uncertainty(self, values: Tensor) -> float:
        return float(torch.minimum(values, 1 - values).mean())

    def entropy(self, values: Tensor) -> Tensor:
        """The mean over the labels."""
        both = torch.stack([values, 1 - values]).clamp_min(1e-12).log()
        return (entropy(both, dim=0) / math.log(2)).mean(1)
