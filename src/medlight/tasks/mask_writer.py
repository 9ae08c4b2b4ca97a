"""Masks of files, on the grid of each file, with their volumes; and how an export makes them.

Shapes: K classes, *T spatial axes of the file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medlight.core.grid import Grid
from medlight.core.labels import region_class_order
from medlight.core.sample import Sample
from medlight.inference.ensemble import ensemble_predictor, merge_slabs
from medlight.inference.heads import SigmoidHead
from medlight.inference.postprocess import Postprocessing, voxel_size_ml
from medlight.inference.resample_to_source import SourcePrediction, resample_to_source
from medlight.inference.sliding_window import MIN_WEIGHT, SIGMA_SCALE, Slabs, SlidingWindow
from medlight.io.inputs import InputCase
from medlight.io.read import is_volume
from medlight.io.resumable_csv import CsvRow, ResumableCsv
from medlight.io.write import mask_suffix, write_mask, write_unit_range
from medlight.metrics.segmentation_cases import SegmentationScorer
from medlight.nets.input_size import InputSize
from medlight.runs.files import file_stem
from medlight.tasks.finite import check_finite_parts
from medlight.tasks.trained_model import PredictOptions, TrainedModel, shared_postprocessing


class MaskWriter:
    """Predicts a case and writes all that is asked for.

    Below the output folder: `<case>.nii.gz` or `.png`, `volumes.csv`, and on request
    `probabilities/`, `entropy/` and `disagreement/` with files of the same names.
    """

    batch_size = 1

    def __init__(self, models: Sequence[TrainedModel], options: PredictOptions) -> None:
        inference = options.inference
        self.models, self.inference, self.output = models, inference, options.output
        self.spec, self.head = models[0].spec, models[0].head
        mirror_axes = self.spec.mirror_axes if inference.tta else ()
        self.mirror_axes = mirror_axes
        self.extras = [name for name, wanted in (
            ("probabilities", options.probabilities), ("entropy", options.uncertainty),
            ("disagreement", options.uncertainty and bool(len(models) > 1 or mirror_axes)),
        ) if wanted]  # fmt: skip
        self.postprocessing = (
            shared_postprocessing(models) if options.postprocess else Postprocessing({})
        )
        self.postprocessing_config = self.postprocessing.as_dict()
        means = [f"mean_{name}" for name in self.extras if name != "probabilities"]
        spec = self.spec
        regions = SegmentationScorer.from_labels(
            spec.labels, regions=dict(spec.regions) or None, ignore=spec.ignore
        )
        self.regions = regions.regions
        columns = ["case", "class", "voxels", "volume_ml", *means]
        self.done = ResumableCsv(
            self.output / "volumes.csv", columns, rows_per_case=len(self.regions)
        )

    def is_done(self, case: InputCase, key: str) -> bool:
        return self.done.is_done(case.name, key, [self._path(case), *self._extra_paths(case)])

    def groups(
        self, cases: Sequence[tuple[InputCase, Sample]]
    ) -> Iterator[Sequence[tuple[InputCase, Sample]]]:
        return ([case] for case in cases)

    @torch.inference_mode()
    def write(
        self, group: Sequence[tuple[InputCase, Sample]]
    ) -> Iterator[tuple[InputCase, Sequence[CsvRow]]]:
        """Give the lines of each case once its files are written."""
        [(case, sample)] = group
        source = sample["source_grid"]
        prediction = self.predict(sample, case.name)
        prediction.labels = self.postprocessing(
            prediction.labels, self.spec.labels.names, source.spacing_mm
        )
        for name, path in zip(self.extras, self._extra_paths(case), strict=True):
            write_unit_range(path, getattr(prediction, name), source)
        write_mask(self._path(case), prediction.labels, source)
        yield case, self._lines(case, prediction, source)

    def predict(self, sample: Sample, name: str = "the image") -> SourcePrediction:
        with_entropy = "disagreement" in self.extras
        slabs = self._slabs(sample["image"], with_entropy=with_entropy)
        return resample_to_source(
            replace(slabs, parts=check_finite_parts(slabs.parts, name)),
            sample["grid"],
            sample["source_grid"],
            probabilities="probabilities" in self.extras,
            uncertainty="entropy" in self.extras,
            with_entropy=with_entropy,
            head=self.head,
        )

    def _slabs(self, image: torch.Tensor, *, with_entropy: bool) -> Slabs:
        """Runs with the same window answer window by window, groups of them slab by slab."""
        windows: dict[tuple[int, ...] | None, list[TrainedModel]] = {}
        for each in self.models:
            windows.setdefault(each.spec.patch, []).append(each)
        parts, axis = [], None
        for window, models in windows.items():
            net = ensemble_predictor(
                [each.net for each in models],
                self.mirror_axes,
                head=self.head,
                with_entropy=with_entropy,
            )
            device = models[0].device
            slabs = self.inference.slabs(image, net, window, device=device, axis=axis)
            parts.append((slabs, len(models) / len(self.models)))
            axis = slabs.axis
        return (
            parts[0][0]
            if len(parts) == 1
            else merge_slabs(parts, head=self.head, with_entropy=with_entropy)
        )

    def _path(self, case: InputCase, extra: str = "") -> Path:
        suffix = ".nii.gz" if is_volume(case.files[0]) else ".png"
        if not extra:
            suffix = mask_suffix(case.files[0], suffix)
        return self.output / extra / (file_stem(case.name) + suffix)

    def _extra_paths(self, case: InputCase) -> list[Path]:
        return [self._path(case, extra) for extra in self.extras]

    def _lines(self, case: InputCase, prediction: SourcePrediction, source: Grid) -> list[CsvRow]:
        voxels = np.bincount(prediction.labels.ravel(), minlength=len(self.spec.labels))
        volume = voxel_size_ml(source.spacing_mm) if source.ndim == 3 else float("nan")
        lines = []
        for name, region in self.regions.items():
            count = int(voxels[list(region)].sum())
            line: CsvRow = {"case": case.name, "class": name, "voxels": count}
            line["volume_ml"] = round(count * volume, 6)
            there = np.isin(prediction.labels, region)
            for extra in self.extras:
                if extra != "probabilities":
                    line[f"mean_{extra}"] = _mean(getattr(prediction, extra), there)
            lines.append(line)
        return lines


def _mean(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Of the voxels that were given the class; nan where there are none."""
    return round(float(values[mask].mean(dtype=np.float64)), 6) if mask.any() else float("nan")


def describe_windows(model: TrainedModel, inference: SlidingWindow) -> dict[str, Any]:
    """Plain data for `artifact_run.py`: logits to labels, windows, and post-processing."""
    spec, head = model.spec, model.head
    task: Any = model.task
    size: InputSize = task.input_size
    output: dict[str, Any] = {"channels": len(spec.labels), "label": "of the largest"}
    if isinstance(head, SigmoidHead):
        output = {
            "channels": len(head.regions),
            "label": "of the last region whose logit is above 0; else background",
            "regions": dict(zip(head.regions, region_class_order(head.regions), strict=True)),
        }
    thin = [1] if spec.slices else []  # windows of volumes are a slice thick
    return {
        "output": output,
        "window": {
            "shape": None if spec.patch is None else [*thin, *spec.patch],
            "overlap": inference.overlap,
            "weight": "gaussian",
            "sigma": SIGMA_SCALE,
            "least_weight": MIN_WEIGHT,
            "padding": "smallest value of each channel, on both sides",
            "net_shape": None if spec.patch is None else [*thin, *size.round_up(spec.patch)],
            "divisor": [*thin, *size.divisor],
            "min_size": [*thin, *size.min_size],
            "mirrored_in_training": [len(thin) + axis for axis in spec.mirror_axes],
        },
        "inversion": {
            "interpolation": "linear, of logits; then the label",
            "grid": "of the input file",
            "outside": spec.labels.names[0],
        },
        "postprocessing": shared_postprocessing([model]).as_dict(),
    }
