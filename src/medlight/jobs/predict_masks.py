"""Masks of files: on the grid of each file, with their volumes.

Shapes: K classes, *T spatial axes of the file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medlight.core.grid import Grid
from medlight.core.sample import Sample
from medlight.inference.ensemble import combined, together
from medlight.inference.postprocess import Postprocessing, unit
from medlight.inference.restore import Restored, restored
from medlight.inference.sliding_window import Slabs, SlidingWindow
from medlight.io.inputs import Input
from medlight.io.write import write_mask, write_shares
from medlight.jobs.done import Done, Line
from medlight.jobs.trained import Trained, mends
from medlight.metrics.cases import Scoring
from medlight.runs.files import file_stem


class MaskWriter:
    """Predicts a case and writes all that is asked for.

    Below the output folder: `<case>.nii.gz` or `.png`, `volumes.csv`, and on request
    `probabilities/`, `entropy/` and `disagreement/` with files of the same names.
    """

    at_once = 1

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
        self.models, self.inference, self.output = models, inference, output
        self.facts, self.head = models[0].facts, models[0].head
        mirrored = self.facts.mirrored if inference.mirror else ()
        self.mirrored = mirrored
        self.extras = [name for name, wanted in (
            ("probabilities", probabilities), ("entropy", uncertainty),
            ("disagreement", uncertainty and bool(len(models) > 1 or mirrored)),
        ) if wanted]  # fmt: skip
        self.postprocessing = mends(models) if postprocess else Postprocessing({})
        self.mends = self.postprocessing.as_dict()
        means = [f"mean_{name}" for name in self.extras if name != "probabilities"]
        facts = self.facts
        regions = Scoring.of(facts.labels, regions=dict(facts.regions) or None, ignore=facts.ignore)
        self.regions = regions.regions
        columns = ["case", "class", "voxels", "volume_ml", *means]
        self.done = Done(output / "volumes.csv", columns, per_case=len(self.regions))

    def holds(self, case: Input, key: str) -> bool:
        return self.done.holds(case.name, key, [self._path(case), *self._extra_paths(case)])

    def groups(
        self, cases: Sequence[tuple[Input, Sample]]
    ) -> Iterator[Sequence[tuple[Input, Sample]]]:
        return ([case] for case in cases)

    @torch.inference_mode()
    def write(
        self, group: Sequence[tuple[Input, Sample]]
    ) -> Iterator[tuple[Input, Sequence[Line]]]:
        """Give the lines of each case once its files are written."""
        [(case, sample)] = group
        source = sample["source"]
        found = self.predicted(sample)
        found.labels = self.postprocessing(found.labels, self.facts.labels.names, source.spacing_mm)
        for name, path in zip(self.extras, self._extra_paths(case), strict=True):
            write_shares(path, getattr(found, name), source)
        write_mask(self._path(case), found.labels, source)
        yield case, self._lines(case, found, source)

    def predicted(self, sample: Sample) -> Restored:
        spread = "disagreement" in self.extras
        return restored(
            self._slabs(sample["image"], spread=spread),
            sample["grid"],
            sample["source"],
            probabilities="probabilities" in self.extras,
            uncertainty="entropy" in self.extras,
            spread=spread,
            head=self.head,
        )

    def _slabs(self, image: torch.Tensor, *, spread: bool) -> Slabs:
        """Runs with the same window answer window by window, groups of them slab by slab."""
        windows: dict[tuple[int, ...] | None, list[Trained]] = {}
        for each in self.models:
            windows.setdefault(each.facts.patch, []).append(each)
        parts, axis = [], None
        for window, models in windows.items():
            net = combined(
                [each.net for each in models], self.mirrored, head=self.head, spread=spread
            )
            device = models[0].device
            slabs = self.inference.slabs(image, net, window, device=device, axis=axis)
            parts.append((slabs, len(models) / len(self.models)))
            axis = slabs.axis
        return parts[0][0] if len(parts) == 1 else together(parts, head=self.head, spread=spread)

    def _path(self, case: Input, extra: str = "") -> Path:
        suffix = ".nii.gz" if self.facts.spatial_dims == 3 else ".png"
        return self.output / extra / (file_stem(case.name) + suffix)

    def _extra_paths(self, case: Input) -> list[Path]:
        return [self._path(case, extra) for extra in self.extras]

    def _lines(self, case: Input, found: Restored, source: Grid) -> list[Line]:
        voxels = np.bincount(found.labels.ravel(), minlength=len(self.facts.labels))
        volume = unit(source.spacing_mm) if source.ndim == 3 else float("nan")
        lines = []
        for name, region in self.regions.items():
            count = int(voxels[list(region)].sum())
            line: Line = {"case": case.name, "class": name, "voxels": count}
            line["volume_ml"] = round(count * volume, 6)
            there = np.isin(found.labels, region)
            for extra in self.extras:
                if extra != "probabilities":
                    line[f"mean_{extra}"] = _mean(getattr(found, extra), there)
            lines.append(line)
        return lines


def _mean(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Of the voxels that were given the class; nan where there are none."""
    return round(float(values[mask].mean(dtype=np.float64)), 6) if mask.any() else float("nan")
