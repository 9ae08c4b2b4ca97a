"""One line of `predictions.csv` for each image."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch

from medlight.core.sample import Sample
from medlight.io.inputs import InputCase
from medlight.io.resumable_csv import CsvRow, ResumableCsv
from medlight.tasks.finite import check_finite_values
from medlight.tasks.image_task import ImageTask
from medlight.tasks.trained_model import PredictOptions, TrainedModel


class CsvWriter:
    """Predicts images that share a shape together, and writes what the task answers; on request
    how sure the answer is. Reflections are not averaged: the answer may depend on laterality."""

    batch_size = 64

    def __init__(self, models: Sequence[TrainedModel], options: PredictOptions) -> None:
        self.models, self.device = models, models[0].device
        self.task = cast(ImageTask, models[0].task)
        self.postprocessing_config: dict[str, Any] = {}  # nothing to post-process in an answer
        zeros = torch.zeros(1, self.task.out_channels)
        sure = options.uncertainty and self.task.entropy(self.task.activate(zeros)) is not None
        wanted = {"entropy": sure, "disagreement": sure and len(models) > 1}
        self.extras = [name for name, yes in wanted.items() if yes]
        answers = self.task.answer(self.task.activate(zeros)[0])
        columns = ["case", *answers, *self.extras]
        self.done = ResumableCsv(options.output / "predictions.csv", columns)

    def is_done(self, case: InputCase, key: str) -> bool:
        return self.done.is_done(case.name, key, [])

    def groups(
        self, cases: Sequence[tuple[InputCase, Sample]]
    ) -> Iterator[Sequence[tuple[InputCase, Sample]]]:
        shapes: dict[tuple[int, ...], list[tuple[InputCase, Sample]]] = {}
        for case, sample in cases:
            shapes.setdefault(tuple(sample["image"].shape), []).append((case, sample))
        return iter(shapes.values())

    @torch.inference_mode()
    def write(
        self, group: Sequence[tuple[InputCase, Sample]]
    ) -> Iterator[tuple[InputCase, Sequence[CsvRow]]]:
        images = torch.stack([sample["image"] for _, sample in group]).to(self.device)
        values = self.task.values([each.net for each in self.models], images).cpu()
        check_finite_values(values, [case.name for case, _ in group])
        extras = self._extras(images, values)
        for row, (case, _) in enumerate(group):
            line: CsvRow = {"case": case.name, **self.task.answer(values[row])}
            yield case, [line | {name: float(extra[row]) for name, extra in extras.items()}]

    def _extras(self, images: torch.Tensor, values: torch.Tensor) -> dict[str, torch.Tensor]:
        """Entropy of the mean answer, and what the single answers disagree about (mutual
        information, Houlsby et al. 2011), as shares of the largest entropy there can be."""
        extras: dict[str, torch.Tensor] = {}
        if "entropy" in self.extras:
            entropy = self.task.entropy(values)
            assert entropy is not None
            extras["entropy"] = entropy
        if "disagreement" in self.extras:
            single = [self.task.entropy(self.task.values([each.net], images).cpu())
                      for each in self.models]  # fmt: skip
            mean = torch.stack([each for each in single if each is not None]).mean(0)
            extras["disagreement"] = (extras["entropy"] - mean).clamp_min(0)
        return extras
