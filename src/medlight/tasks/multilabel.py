"""Any of several findings per image, nan where nobody looked."""

import math
from collections.abc import Sequence

import torch

from medlight.core.case_result import CaseResult, Row
from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.metrics.bootstrap import Interval
from medlight.metrics.multilabel import multilabel_intervals, summarise_multilabel
from medlight.tasks.base import Batch
from medlight.tasks.classification import ClassificationTask


class MultilabelTask(ClassificationTask):
    """The net gives (B, K) logits; `loss` gets them with (B, K) targets: 1, 0, nan, -1 uncertain.

    Uncertain findings are not scored. The uncertainty of a case is the mean over its findings.
    """

    @classmethod
    def check_data(cls, spec: DataSpec) -> None:
        if spec.labels.kind != "multilabel":
            fit = "segmentation" if spec.labels.kind == "mask" else "classification"
            raise ConfigError(
                f"task=findings needs several findings per image; for this data choose task={fit}"
            )

    def infer(self, batch: Batch) -> list[CaseResult]:
        answers = [net(batch["image"]).float().sigmoid() for net in self.ensemble or [self]]
        probabilities = torch.stack(answers).mean(0).cpu()
        images = batch["image"].float().cpu().numpy()
        labels = batch["label"].tolist() if "label" in batch else [None] * len(images)
        names = self.spec.labels.names
        results = []
        for case, image, truth, p in zip(batch["case"], images, labels, probabilities, strict=True):
            row: Row = {"case": case}
            for name, value in zip(names, truth or (), strict=False):
                row[f"truth_{name}"] = value if value in (0, 1) else math.nan
            row |= {f"p_{name}": float(value) for name, value in zip(names, p, strict=True)}
            row["uncertainty"] = float(torch.minimum(p, 1 - p).mean())
            results.append(CaseResult(case=case, rows=(row,), image=image))
        return results

    def summarise(self, rows: Sequence[Row]) -> dict[str, float]:
        return summarise_multilabel(rows, self.spec.labels.names)

    def intervals(self, rows: Sequence[Row]) -> dict[str, Interval]:
        return multilabel_intervals(rows, self.spec.labels.names)
