"""One label per voxel, in 2-D and 3-D."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medlight.core.case_result import CaseResult, Row
from medlight.core.errors import ConfigError
from medlight.core.facts import Facts
from medlight.core.grid import Grid
from medlight.inference.doubt import Doubt
from medlight.inference.ensemble import combined
from medlight.inference.heads import Exclusive, Head, Regions
from medlight.inference.postprocess import Postprocessing
from medlight.inference.restore import restored
from medlight.inference.sliding_window import SlidingWindow, labelled
from medlight.metrics.bootstrap import Interval
from medlight.metrics.cases import Scoring
from medlight.metrics.summary import segmentation_intervals, summarise_segmentation
from medlight.nets.divisor import Sizes, cut, padded
from medlight.tasks.base import Batch, Task

Target = Literal["labels", "regions"]
CERTAIN = 30.0
"""A logit of which the opposite has a probability of zero, in half precision too."""


@dataclass(kw_only=True, eq=False, repr=False)
class SegmentationTask(Task):
    """Train on patches, predict whole images with windows of the same shape.

    `loss` gets (B, K, *S) logits and a (B, 1, *S) mask; of R regions (B, R, *S) logits and
    (B, R, *S) of zeros and ones.

    Attributes:
        target: "labels", one a voxel; "regions": those of the data, which may overlap and are
            answered one by one (Isensee et al. 2021, region-based training).
        inference: how an image becomes windows and windows an image.
        postprocessing: what is done to masks on their source's grid, where validation chose it.
        The others are those of `Task`.
    """

    target: Target = "labels"
    inference: SlidingWindow = field(default_factory=SlidingWindow)
    postprocessing: Postprocessing | None = None

    def __post_init__(self) -> None:
        facts = self.facts
        self._check_target()
        super().__post_init__()
        self.scoring = Scoring.of(
            facts.labels,
            regions=dict(facts.regions) or None,
            tolerance_mm=facts.tolerance_mm,
            ignore=facts.ignore,
        )
        self.head: Head = Exclusive()
        if self.target == "regions":
            self.head = Regions(dict(facts.regions))
            within = [
                [label in region for _, region in facts.regions]
                for label in range(len(facts.labels))
            ]
            self.register_buffer("within", torch.tensor(within), persistent=False)
        self.sizes = Sizes.of(self.net, channels=facts.channels, spatial_dims=facts.spatial_dims)

    @classmethod
    def check(cls, facts: Facts) -> None:
        if facts.labels.kind != "mask":
            raise ConfigError(
                "task=segmentation needs masks, but the data has one label per image; "
                "choose task=classification, or data with masks"
            )

    def _check_target(self) -> None:
        if self.target not in get_args(Target):
            raise ConfigError(f"task.target must be labels or regions, got {self.target}")
        regions = self.target == "regions"
        if regions and not self.facts.regions:
            raise ConfigError(
                "task.target=regions learns the regions of the data, but it has none: give "
                "data.regions={whole: [1, 2, 3], core: [2, 3]}, larger ones first"
            )
        if getattr(self.loss, "overlapping", regions) != regions:
            fit = "dice_bce" if regions else "dice_ce"
            raise ConfigError(
                f"task.target={self.target} does not go with {type(self.loss).__name__}, which is "
                f"for {'labels' if regions else 'regions'}: choose loss={fit}"
            )

    @property
    def outputs(self) -> int:
        return len(self.facts.regions) if self.target == "regions" else len(self.facts.labels)

    @property
    def policy(self) -> str:
        return self.scoring.policy

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *S) to (B, K, *S) logits. Sizes the net cannot take are padded meanwhile."""
        return self._outputs(image)[0]

    def step(self, batch: Batch) -> Tensor:
        outputs = self._outputs(batch["image"])
        weights = [2.0**-depth for depth in range(len(outputs))]
        losses = [self.loss(*self._known(output, batch["mask"])) for output in outputs]
        weighted = [w * each for w, each in zip(weights, losses, strict=True)]
        return torch.stack(weighted).sum() / sum(weights)

    def _known(self, output: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the loss gets. Ignored voxels reach it, whichever it is, as background that is
        certain and right: no gradient comes from them."""
        if self.facts.ignore is not None:
            ignored = mask == self.facts.ignore
            certain = output.new_full((output.shape[1], *[1] * (output.ndim - 2)), -CERTAIN)
            if self.target == "labels":
                certain[0] = CERTAIN
            output, mask = torch.where(ignored, certain, output), mask.masked_fill(ignored, 0)
        if self.target == "regions":
            mask = self.get_buffer("within")[mask[:, 0]].movedim(-1, 1)
        return output, mask

    def _outputs(self, image: Tensor) -> list[Tensor]:
        """The net's output, and while training those of its deeper levels, if it gives any
        (deep supervision: each counts half as much as the one above, Isensee et al. 2021)."""
        shape = image.shape[2:]
        image = padded(image, self.sizes.fit(shape)).contiguous(memory_format=self.memory_format)
        output = self.net(image)
        deep = output.ndim > image.ndim  # (B, levels, K, *S), as MONAI's DynUNet gives them
        return [cut(each, shape) for each in (output.unbind(1) if deep else [output])]

    def infer(self, batch: Batch) -> list[CaseResult]:
        return [self._case(batch, i) for i in range(len(batch["case"]))]

    def _case(self, batch: Batch, i: int) -> CaseResult:
        image, case = batch["image"][i], batch["case"][i]
        mirrored = self.facts.mirrored if self.inference.mirror else ()
        net = combined(self.members or [self], mirrored, head=self.head)
        prediction = np.empty(image.shape[1:], np.uint8)
        slabs = labelled(self.inference.slabs(image, net, self.facts.patch), prediction, self.head)
        truth = _labels(batch["mask"][i, 0]) if "mask" in batch else None
        shown = {"case": case, "truth": truth, "prediction": prediction}
        shown["image"] = image.float().cpu().numpy()
        if truth is not None and "reference" not in batch:
            for _ in slabs.parts:
                pass
            return CaseResult(rows=self.scoring.dice_rows(case, prediction, truth), **shown)
        source, doubt = batch["source"][i], Doubt(self.head)
        home = restored(doubt.watch(slabs), batch["grid"][i], source, head=self.head).labels
        home = self._mended(home, source)
        rows: tuple[Row, ...] = ()
        if "reference" in batch:
            rows = self.scoring.rows(case, home, batch["reference"][i].cpu().numpy(), source)
            rows = tuple(row | {"uncertainty": doubt.value} for row in rows)
        return CaseResult(rows=rows, restored=home, source=source, **shown)

    def _mended(self, labels: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
        if self.postprocessing is None:
            return labels
        return self.postprocessing(labels, self.facts.labels.names, grid.spacing_mm)

    def summarise(self, rows: Sequence[Row]) -> dict[str, float]:
        return summarise_segmentation(rows, tuple(self.scoring.regions))

    def intervals(self, rows: Sequence[Row]) -> dict[str, Interval]:
        return segmentation_intervals(rows, tuple(self.scoring.regions))


def _labels(tensor: Tensor) -> np.ndarray:
    return tensor.to(torch.uint8).cpu().numpy()
