"""Classes of images: one line each, with the probability of every class."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from medlight.core.sample import Sample
from medlight.inference.ensemble import combined
from medlight.inference.heads import entropy
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.inputs import Input
from medlight.jobs.done import Done, Line
from medlight.jobs.trained import Trained


class ClassWriter:
    """Predicts images that share a shape together, and writes `predictions.csv`: the class, the
    probability of each, and on request how sure the answer is. Reflections are not averaged: what
    lies where an image's left is may be what a class is about."""

    at_once = 64
    mends: dict[str, Any] = {}  # noqa: RUF012  # nothing to mend in a class

    def __init__(
        self,
        models: Sequence[Trained],
        inference: SlidingWindow,
        output: Path,
        *,
        probabilities: bool,
        uncertainty: bool,
        postprocess: bool,
    ) -> None:
        self.names = models[0].facts.labels.names
        self.several = models[0].facts.labels.kind == "findings"
        self.models = models
        self.device = models[0].device
        self.spread = uncertainty and len(models) > 1 and not self.several
        self.net = combined([each.net for each in models], spread=self.spread)
        self.extras = [name for name, wanted in (
            ("entropy", uncertainty), ("disagreement", self.spread)) if wanted]  # fmt: skip
        shares = [f"p_{name}" for name in self.names]
        columns = ["case", *([] if self.several else ["prediction"]), *shares, *self.extras]
        self.done = Done(output / "predictions.csv", columns)

    def holds(self, case: Input, key: str) -> bool:
        return self.done.holds(case.name, key, [])

    def groups(
        self, cases: Sequence[tuple[Input, Sample]]
    ) -> Iterator[Sequence[tuple[Input, Sample]]]:
        shapes: dict[tuple[int, ...], list[tuple[Input, Sample]]] = {}
        for case, sample in cases:
            shapes.setdefault(tuple(sample["image"].shape), []).append((case, sample))
        return iter(shapes.values())

    @torch.inference_mode()
    def write(
        self, group: Sequence[tuple[Input, Sample]]
    ) -> Iterator[tuple[Input, Sequence[Line]]]:
        images = torch.stack([sample["image"] for _, sample in group])
        if self.several:
            yield from self._findings(group, images)
            return
        answers = self.net(images.to(self.device)).cpu()
        logs = answers[:, : len(self.names)].log_softmax(1)
        most = math.log(max(len(self.names), 2))
        own = entropy(logs, dim=1) / most
        for row, (case, _) in enumerate(group):
            p = logs[row].exp()
            line: Line = {"case": case.name, "prediction": self.names[int(p.argmax())]}
            line |= {f"p_{name}": float(v) for name, v in zip(self.names, p, strict=True)}
            if "entropy" in self.extras:
                line["entropy"] = float(own[row])
            if self.spread:
                line["disagreement"] = max(0.0, float(own[row] - answers[row, -1] / most))
            yield case, [line]

    def _findings(
        self, group: Sequence[tuple[Input, Sample]], images: torch.Tensor
    ) -> Iterator[tuple[Input, Sequence[Line]]]:
        """Yes-or-no questions: each has a probability of its own, and the entropy is their mean."""
        images = images.to(self.device)
        p = torch.stack([each.net(images).sigmoid() for each in self.models]).mean(0).cpu()
        sides = torch.stack([p, 1 - p]).clamp_min(1e-12).log()
        doubt = (entropy(sides, dim=0) / math.log(2)).mean(1)
        for row, (case, _) in enumerate(group):
            line: Line = {"case": case.name}
            line |= {f"p_{name}": float(v) for name, v in zip(self.names, p[row], strict=True)}
            if "entropy" in self.extras:
                line["entropy"] = float(doubt[row])
            yield case, [line]
