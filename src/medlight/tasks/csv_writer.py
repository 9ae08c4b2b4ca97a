"""One line of `predictions.csv` for each image, or for each slice of a volume."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch

from medlight.core.sample import Sample
from medlight.io.inputs import InputCase
from medlight.io.resumable_csv import LINES_COLUMN, CsvRow, ResumableCsv
from medlight.tasks.finite import check_finite_values
from medlight.tasks.image_task import ImageTask
from medlight.tasks.trained_model import PredictOptions, TrainedModel
from medlight.transforms.slices import slice_numbers

SLICE_COLUMNS = ("slice", LINES_COLUMN)


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
        self.slices = models[0].spec.slices
        path, columns = options.output / "predictions.csv", [*answers, *self.extras]
        if self.slices:
            self.batch_size = 1  # of volumes, which are as many pictures as they have slices
            self.done = ResumableCsv(path, ["case", *SLICE_COLUMNS, *columns], rows_per_case=None)
        else:
            self.done = ResumableCsv(path, ["case", *columns])

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
        if self.slices:
            [(case, sample)] = group
            yield case, self._lines_of_slices(case.name, sample)
            return
        images = torch.stack([sample["image"] for _, sample in group])
        lines = self._lines(images, [case.name for case, _ in group])
        for (case, _), line in zip(group, lines, strict=True):
            yield case, [{"case": case.name, **line}]

    def _lines_of_slices(self, name: str, sample: Sample) -> list[CsvRow]:
        """In the order of the file."""
        numbers = slice_numbers(sample["grid"], sample["source_grid"], self.slices).tolist()
        pictures = sample["image"].movedim(1, 0).split(CsvWriter.batch_size)
        lines = [line for some in pictures for line in self._lines(some, [name] * len(some))]
        places = dict(zip(numbers, lines, strict=True))
        head: CsvRow = {"case": name, LINES_COLUMN: len(lines)}
        return [{**head, "slice": number, **places[number]} for number in sorted(places)]

    def _lines(self, images: torch.Tensor, cases: Sequence[str]) -> list[CsvRow]:
        """What is said of (B, C, *S) images."""
        images = images.to(self.device)
        values = self.task.values([each.net for each in self.models], images).cpu()
        check_finite_values(values, cases)
        extras = self._extras(images, values)
        return [
            self.task.answer(own) | {name: float(extra[row]) for name, extra in extras.items()}
            for row, own in enumerate(values)
        ]

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
