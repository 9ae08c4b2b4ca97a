"""Classes of images: one line each, with the probability of every class."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from medlight.core.sample import Sample
from medlight.inference.ensemble import ensemble_predictor
from medlight.inference.heads import entropy
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.inputs import InputCase
from medlight.jobs.resumable_csv import CsvRow, ResumableCsv
from medlight.jobs.trained_model import TrainedModel


class ClassWriter:
    """Predicts images that share a shape together, and writes `predictions.csv`: the class, the
    probability of each, and on request how sure the answer is. Reflections are not averaged: what
    lies where an image's left is may be what a class is about."""

    batch_size = 64
    postprocessing_config: dict[str, Any] = {}  # noqa: RUF012  # nothing to mend in a class

    def __init__(
        self,
        models: Sequence[TrainedModel],
        inference: SlidingWindow,
        output: Path,
        *,
        probabilities: bool,
        uncertainty: bool,
        postprocess: bool,
    ) -> None:
        self.names = models[0].spec.labels.names
        self.multilabel = models[0].spec.labels.kind == "multilabel"
        self.models = models
        self.device = models[0].device
        self.with_entropy = uncertainty and len(models) > 1 and not self.multilabel
        self.net = ensemble_predictor([each.net for each in models], with_entropy=self.with_entropy)
        self.extras = [name for name, wanted in (
            ("entropy", uncertainty), ("disagreement", self.with_entropy)) if wanted]  # fmt: skip
        shares = [f"p_{name}" for name in self.names]
        columns = ["case", *([] if self.multilabel else ["prediction"]), *shares, *self.extras]
        self.done = ResumableCsv(output / "predictions.csv", columns)

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
        images = torch.stack([sample["image"] for _, sample in group])
        if self.multilabel:
            yield from self._write_multilabel(group, images)
            return
        answers = self.net(images.to(self.device)).cpu()
        log_probs = answers[:, : len(self.names)].log_softmax(1)
        max_entropy = math.log(max(len(self.names), 2))
        own = entropy(log_probs, dim=1) / max_entropy
        for row, (case, _) in enumerate(group):
            p = log_probs[row].exp()
            line: CsvRow = {"case": case.name, "prediction": self.names[int(p.argmax())]}
            line |= {f"p_{name}": float(v) for name, v in zip(self.names, p, strict=True)}
            if "entropy" in self.extras:
                line["entropy"] = float(own[row])
            if self.with_entropy:
                line["disagreement"] = max(0.0, float(own[row] - answers[row, -1] / max_entropy))
            yield case, [line]

    def _write_multilabel(
        self, group: Sequence[tuple[InputCase, Sample]], images: torch.Tensor
    ) -> Iterator[tuple[InputCase, Sequence[CsvRow]]]:
        """Yes-or-no questions: each has a probability of its own, and the entropy is their mean."""
        images = images.to(self.device)
        p = torch.stack([each.net(images).sigmoid() for each in self.models]).mean(0).cpu()
        sides = torch.stack([p, 1 - p]).clamp_min(1e-12).log()
        doubt = (entropy(sides, dim=0) / math.log(2)).mean(1)
        for row, (case, _) in enumerate(group):
            line: CsvRow = {"case": case.name}
            line |= {f"p_{name}": float(v) for name, v in zip(self.names, p[row], strict=True)}
            if "entropy" in self.extras:
                line["entropy"] = float(doubt[row])
            yield case, [line]
