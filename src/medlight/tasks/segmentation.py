"""One label per voxel, in 2-D and 3-D."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medlight.core.case_result import CaseResult, Row
from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.outcome import UNCERTAINTY, Metric
from medlight.inference.ensemble import ensemble_predictor
from medlight.inference.heads import ForegroundEntropy, Head, SigmoidHead, SoftmaxHead
from medlight.inference.postprocess import (
    Postprocessing,
    load_candidate_means,
    select_postprocessing,
)
from medlight.inference.resample_to_source import SourceResampler
from medlight.inference.sliding_window import LabelMap, SlidingWindow
from medlight.metrics.segmentation_cases import SegmentationScorer
from medlight.nets.input_size import InputSize, crop_to, pad_to
from medlight.tasks.base import Batch, Task
from medlight.tasks.finite import check_finite_parts
from medlight.tasks.segmentation_outcome import SegmentationOutcome
from medlight.tasks.trained_model import TrainedModel, shared_postprocessing
from medlight.transforms.slices import slices_back

Target = Literal["labels", "regions"]
MAX_LABELS = 256
"""What the 8 bits of a predicted mask hold."""
CERTAIN_LOGIT = 30.0
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
        spec = self.spec
        self._check_target()
        super().__post_init__()
        self.head: Head = SoftmaxHead()
        if self.target == "regions":
            self.head = SigmoidHead(dict(spec.regions))
            region_membership = [
                [label in region for _, region in spec.regions] for label in range(len(spec.labels))
            ]
            self.register_buffer(
                "region_membership", torch.tensor(region_membership), persistent=False
            )
        self.input_size = InputSize.probe(
            self.net, channels=spec.channels, spatial_dims=spec.spatial_dims
        )

    @classmethod
    def check_data(cls, spec: DataSpec) -> None:
        if spec.labels.kind != "mask":
            raise ConfigError(
                f"task=segmentation needs masks, but the data has {spec.labels.describe()}; choose "
                f"task={spec.labels.suggested_task}, or data with masks"
            )
        if len(spec.labels) > MAX_LABELS:
            raise ConfigError(
                f"the data names {len(spec.labels)} labels, but a net predicts at most "
                f"{MAX_LABELS}, the background among them; merge labels of the masks, or number "
                f"those that are used 0, 1, 2, ..."
            )

    def _check_target(self) -> None:
        if self.target not in get_args(Target):
            raise ConfigError(f"task.target must be labels or regions, got {self.target}")
        regions = self.target == "regions"
        if regions and not self.spec.regions:
            raise ConfigError(
                "task.target=regions learns the regions of the data, but it has none: give "
                "data.regions={whole: [1, 2, 3], core: [2, 3]}, larger ones first"
            )
        if getattr(self.loss, "region_based", regions) != regions:
            fit = "dice_bce" if regions else "dice_ce"
            raise ConfigError(
                f"task.target={self.target} does not go with {type(self.loss).__name__}, which is "
                f"for {'labels' if regions else 'regions'}: choose loss={fit}"
            )

    @property
    def out_channels(self) -> int:
        return len(self.spec.regions) if self.target == "regions" else len(self.spec.labels)

    def build_outcome(self) -> SegmentationOutcome:
        spec = self.spec
        self.scorer = SegmentationScorer.from_labels(
            spec.labels,
            regions=dict(spec.regions) or None,
            tolerance_mm=spec.tolerance_mm,
            ignore=spec.ignore,
        )
        scored, policy = tuple(self.scorer.regions), self.scorer.policy
        return SegmentationOutcome(scored, policy=policy, labels=spec.labels.names)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *S) to (B, K, *S) logits. Sizes the net cannot take are padded meanwhile."""
        return self._net_outputs(image)[0]

    def validation_scores(self) -> dict[str, Metric]:
        """In the frame of the net there is Dice alone."""
        named = super().validation_scores().items()
        return {name: metric for name, metric in named if name.split("/")[1] == "dice"}

    def decide(self, output: Tensor) -> Tensor:
        return self.head.labels(output)

    def step(self, batch: Batch) -> Tensor:
        outputs = self._net_outputs(batch["image"])
        self.watch_output(outputs[0])
        weights = [2.0**-depth for depth in range(len(outputs))]
        losses = [self.loss(*self._loss_inputs(output, batch["mask"])) for output in outputs]
        weighted = [w * each for w, each in zip(weights, losses, strict=True)]
        return torch.stack(weighted).sum() / sum(weights)

    def _loss_inputs(self, output: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the loss gets. Ignored voxels reach it, whichever it is, as background that is
        certain and right: no gradient comes from them."""
        if self.spec.ignore is not None:
            ignored = mask == self.spec.ignore
            certain = output.new_full((output.shape[1], *[1] * (output.ndim - 2)), -CERTAIN_LOGIT)
            if self.target == "labels":
                certain[0] = CERTAIN_LOGIT
            output, mask = torch.where(ignored, certain, output), mask.masked_fill(ignored, 0)
        if self.target == "regions":
            mask = self.get_buffer("region_membership")[mask[:, 0]].movedim(-1, 1)
        return output, mask

    def _net_outputs(self, image: Tensor) -> list[Tensor]:
        """The net's output, and while training those of its deeper levels, if it gives any
        (deep supervision: each counts half as much as the one above, Isensee et al. 2021)."""
        shape = image.shape[2:]
        image = pad_to(image, self.input_size.round_up(shape)).contiguous(
            memory_format=self.memory_format
        )
        output = self.net(image)
        deep = output.ndim > image.ndim  # (B, levels, K, *S), as MONAI's DynUNet gives them
        return [crop_to(each, shape) for each in (output.unbind(1) if deep else [output])]

    def infer(self, batch: Batch) -> list[CaseResult]:
        return [self._infer_case(batch, i) for i in range(len(batch["case"]))]

    def _infer_case(self, batch: Batch, i: int) -> CaseResult:
        image, case = batch["image"][i], batch["case"][i]
        truth = _labels(batch["mask"][i, 0]) if "mask" in batch else None
        mirror_axes = self.spec.mirror_axes if self.inference.tta else ()
        net = ensemble_predictor(self.nets, mirror_axes, head=self.head)
        slabs = self.inference.slabs(image, net, self.spec.patch)
        labels = LabelMap(image.shape[1:], slabs.axis, self.head)
        if truth is not None and "reference" not in batch:  # validation: in the frame of the net
            for part in check_finite_parts(slabs.parts, case):
                labels.add(part)
            rows = self.scorer.dice_rows(case, labels.labels, truth)
            return self._result(case, rows, image, truth, labels)
        source = batch["source_grid"][i]
        entropy = ForegroundEntropy(self.head)
        resampler = SourceResampler(slabs.axis, batch["grid"][i], source, self.head)
        for part in check_finite_parts(slabs.parts, case):
            labels.add(part)
            entropy.add(part)
            resampler.add(part)
        mask = self._postprocess(resampler.finish().labels, source)
        rows = ()
        if "reference" in batch:
            scored = self.scorer.rows(case, mask, batch["reference"][i].cpu().numpy(), source)
            rows = tuple(row | {UNCERTAINTY: entropy.value} for row in scored)
        result = self._result(case, rows, image, truth, labels)
        return replace(result, source_prediction=mask, source_grid=source)

    def _result(
        self,
        case: str,
        rows: tuple[Row, ...],
        image: Tensor,
        truth: NDArray[np.uint8] | None,
        labels: LabelMap,
    ) -> CaseResult:
        shown, prediction = image.float().cpu().numpy(), labels.labels
        if self.spec.slices:  # as volumes are shown
            back = partial(slices_back, plane=self.spec.slices)
            shown, prediction = back(shown), back(prediction)
            truth = None if truth is None else back(truth)
        return CaseResult(case, rows, shown, truth=truth, prediction=prediction)

    def _postprocess(self, labels: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
        if self.postprocessing is None:
            return labels
        return self.postprocessing(labels, self.spec.labels.names, grid.spacing_mm)

    def join(self, models: "Sequence[TrainedModel]") -> None:
        """Let other trained nets answer, and post-process as their validation cases chose."""
        super().join(models)
        self.postprocessing = shared_postprocessing(models)

    def use_choices(self, run_dir: Path) -> None:
        """Post-process as the verb `postprocess` chose for this run, if it was asked."""
        choice = load_candidate_means(run_dir)
        if choice is not None:
            self.postprocessing = select_postprocessing([choice])


def _labels(tensor: Tensor) -> np.ndarray:
    return tensor.to(torch.uint8).cpu().numpy()
