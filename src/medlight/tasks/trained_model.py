"""A finished run, ready to predict: nothing of its data set is needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError, DataError
from medlight.core.grid import Grid
from medlight.core.intensity import IntensityStatistics
from medlight.core.sample import Sample
from medlight.inference.heads import Head, SoftmaxHead
from medlight.inference.postprocess import CandidateMeans, Postprocessing, select_postprocessing
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.inputs import InputCase
from medlight.io.resumable_csv import CsvRow, ResumableCsv
from medlight.tasks.base import Task
from medlight.transforms.preprocessor import Preprocessor
from medlight.transforms.radiograph import COLOUR, GREY, with_channels
from medlight.transforms.slices import slices_first


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What to write of each prediction, and where.

    Attributes:
        inference: windows, and whether reflections are averaged.
        output: folder to write to.
        probabilities: the probability of each class as well.
        uncertainty: entropy, and disagreement of several answers, as well.
        postprocess: do what the runs' validation cases chose.
    """

    inference: SlidingWindow
    output: Path
    probabilities: bool = False
    uncertainty: bool = False
    postprocess: bool = True


class PredictionWriter(Protocol):
    """Predicts cases and writes what it found of each, so that it can go on after a stop.

    Attributes:
        batch_size: how many cases to hand over at a time.
        done: the table that says which cases are written.
        postprocessing_config: what is done to predictions, as plain data.
    """

    batch_size: int
    done: ResumableCsv
    postprocessing_config: dict[str, Any]

    def is_done(self, case: InputCase, key: str) -> bool:
        """Whether all files of a case are there, made in just this way."""
        ...

    def groups(
        self, cases: Sequence[tuple[InputCase, Sample]]
    ) -> Iterator[Sequence[tuple[InputCase, Sample]]]:
        """Cases that can be predicted together."""
        ...

    def write(
        self, group: Sequence[tuple[InputCase, Sample]]
    ) -> Iterator[tuple[InputCase, Sequence[CsvRow]]]:
        """Give the lines of each case once its files are written."""
        ...


COLOURED = "it is in colour, and the net sees its luminance"
"""The caveat of a picture whose colours are lost."""
_MIN_COLOUR = 32 / 255  # what JPEG makes of grey stays below

LoadModel = Callable[[Path, str], "TrainedModel"]
"""(run directory, checkpoint) to a run: cli knows how to read its configuration."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """Attributes:
    name: of the run: its experiment and its folder.
    digest: sha256 of the checkpoint.
    task: with the weights of the checkpoint, in evaluation mode.
    transforms: what images went through in training, without what was random.
    recipe: the same as plain data; runs of an ensemble must agree in it.
    device: where the net is.
    precision: what the net computes in, where that is not float32.
    candidate_means: what the run's validation cases say of postprocessing; None: nobody asked them.
    """

    name: str
    digest: str
    task: Task
    transforms: Preprocessor | None
    recipe: Mapping[str, Any]
    device: torch.device
    precision: torch.dtype | None = None
    candidate_means: CandidateMeans | None = None

    @property
    def spec(self) -> DataSpec:
        return self.task.spec

    @property
    def head(self) -> Head:
        """What the channels of its output mean, where voxels are labelled."""
        return getattr(self.task, "head", SoftmaxHead())

    def to(self, device: torch.device) -> "TrainedModel":
        """The same run elsewhere; the weights are moved, not copied."""
        return replace(self, task=self.task.to(device), device=device)

    def net(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, *S) images to float32 logits, on the run's device."""
        enabled = self.precision is not None
        with torch.autocast(self.device.type, dtype=self.precision, enabled=enabled):
            logits: torch.Tensor = self.task(images.to(self.device))
        return logits.float()

    def preprocess(self, image: NDArray[np.float32], grid: Grid) -> Sample:
        """A (C, *S) image as it lies in its file, as the net sees it: of a colour picture its
        luminance, where the net takes grey ones. DataError where it is none that the net can see.
        """
        spec = self.spec
        if grid.ndim != spec.image_dims:
            slices = "; save each slice as a picture, or as a volume of two axes"
            raise DataError(
                f"it has {grid.ndim} axes, but the net takes {spec.image_dims}"
                f"{slices if grid.ndim > spec.image_dims else ''}"
            )
        source, voxels = grid, torch.from_numpy(image)
        if grid.ndim == 2 and {len(image), spec.channels} == {GREY, COLOUR}:
            if spec.channels == GREY and np.ptp(image, axis=0).max() > _MIN_COLOUR:
                source = replace(grid, caveats=(*grid.caveats, COLOURED))
            voxels = with_channels(voxels, spec.channels)
        if len(voxels) != spec.channels:
            named = f" ({', '.join(spec.modality)})" if spec.modality else ""
            raise DataError(
                f"it has {len(image)} channels, but the net takes {spec.channels}{named}"
            )
        if not np.isfinite(image).all():
            raise DataError("it holds values that are not finite")
        sample: Sample = {"image": voxels, "grid": grid, "source_grid": source}
        if self.transforms is not None:
            sample = self.transforms.geometry(sample)
        if spec.slices:
            sample = slices_first(sample, spec.slices)
        if self.transforms is None:
            return sample
        values = sample["image"].numpy()
        self.transforms.intensity(IntensityStatistics.of(values), spec.modality).apply(values)
        return sample


def shared_postprocessing(models: Sequence[TrainedModel]) -> Postprocessing:
    """What the validation cases of all runs chose together; nothing where one of them was not
    asked."""
    choices = [each.candidate_means for each in models if each.candidate_means is not None]
    return select_postprocessing(choices) if len(choices) == len(models) else Postprocessing({})


def check_compatible(models: Sequence[TrainedModel]) -> None:
    """ConfigError where runs cannot answer together: they must take the same images, prepared in
    the same way, and know the same classes. Windows may differ."""
    first = models[0]
    for other in models[1:]:
        for what, one, two in (
            ("classes", first.spec.labels, other.spec.labels),
            ("outputs", first.head, other.head),
            ("channels", first.spec.channels, other.spec.channels),
            ("modalities", first.spec.modality, other.spec.modality),
            ("transforms", first.recipe, other.recipe),
        ):
            if one != two:
                raise ConfigError(
                    f"{first.name} and {other.name} cannot form an ensemble: their {what} differ, "
                    f"{one} and {two}; name runs that agree"
                )
