"""What a task must know of the data, and all it may know."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from medlight.core.labels import Labels


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Known once the index is read, handed from the data to the task that builds the net, and
    kept in checkpoints: a prediction has nothing else of the data.

    Attributes:
        spatial_dims: 2 or 3, of what the net sees.
        channels: channels of an image.
        labels: names and meaning of the targets; one output of the net each.
        patch: spatial shape S of a training image, which is also the window of inference;
            None where images keep a shape of their own and are taken whole.
        tolerance_mm: how far apart two borders may lie and still count as the same, in the
            normalised surface distance.
        regions: name to labels of what is scored, where labels are not scored one by one; they may
            overlap.
        ignore: label of voxels that are not scored.
        shape: spatial shape S that all training images have, which is `patch` where there is one;
            None where they differ.
        class_counts: training cases of each class; None where the targets are no classes.
        mirror_axes: spatial axes along which training images were mirrored.
        modality: name of the modality of each channel; empty where nobody said.
        spacing_low_mm, spacing_high_mm: smallest and largest voxel size of the training images, as
            the net sees them, along each axis; empty where nobody noted it.
        brightest: 5th and 95th percentile of the largest values of the training images, as the
            net sees them; empty where nobody noted it.
        slices: "axial", "coronal" or "sagittal" where images are volumes and the net sees them
            slice by slice; else empty.
    """

    spatial_dims: int
    channels: int
    labels: Labels
    patch: tuple[int, ...] | None = None
    tolerance_mm: float = 1.0
    regions: tuple[tuple[str, tuple[int, ...]], ...] = ()
    ignore: int | None = None
    shape: tuple[int, ...] | None = None
    class_counts: tuple[int, ...] | None = None
    mirror_axes: tuple[int, ...] = ()
    modality: tuple[str, ...] = ()
    spacing_low_mm: tuple[float, ...] = ()
    spacing_high_mm: tuple[float, ...] = ()
    brightest: tuple[float, ...] = ()
    slices: str = ""

    @property
    def image_dims(self) -> int:
        """Spatial axes of an image, of which the net may see slices."""
        return 3 if self.slices else self.spatial_dims

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, which checkpoints and JSON hold.

        >>> spec = DataSpec(2, 1, Labels(("cat", "dog"), "multiclass"), patch=(8, 8))
        >>> DataSpec.from_dict(spec.as_dict()) == spec
        True
        """
        labels = {"names": list(self.labels.names), "kind": self.labels.kind}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {**plain, "labels": labels}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DataSpec":
        """The inverse of `as_dict`. What an older checkpoint lacks has its default.

        Raises:
            ValueError: a value is none that data can have; or another one of `MALFORMED`.
        """
        plain: dict[str, Any] = {
            _OLD_FIELDS.get(key, key): tuple(value) if isinstance(value, list) else value
            for key, value in values.items()
        }
        spec = cls(**{**plain, "labels": Labels.from_dict(values["labels"])})
        wrong = [name for name, known in _known(spec).items() if not known]
        if wrong:
            raise ValueError(f"{wrong[0]} is {getattr(spec, wrong[0])!r:.60}")
        return spec


def _known(spec: DataSpec) -> dict[str, bool]:
    """Whether each field is one that data can have."""
    dims, names = spec.spatial_dims, spec.labels.names

    def numbers(values: Any, count: int | None, kinds: tuple[type, ...], low: float) -> bool:
        return (
            isinstance(values, tuple)
            and len(values) == (len(values) if count is None else count)
            and all(type(each) in kinds and low <= each < _LIMIT for each in values)
        )

    def sized(shape: Any) -> bool:
        """Whether a training image can have this shape: room is made for it before it is read."""
        return (
            numbers(shape, dims, whole, 1)
            and type(spec.channels) is int
            and max(shape) < _LONGEST_AXIS
            and math.prod(shape) * spec.channels < _LIMIT
        )

    whole, real = (int,), (int, float)
    return {
        "spatial_dims": type(dims) is int and dims in (2, 3),
        "channels": numbers((spec.channels,), 1, whole, 1),
        "labels": all(isinstance(name, str) for name in names),
        "patch": spec.patch is None or sized(spec.patch),
        "tolerance_mm": numbers((spec.tolerance_mm,), 1, real, 0),
        "regions": isinstance(spec.regions, tuple)
        and all(
            isinstance(name, str) and numbers(tuple(region), None, whole, 1) and region
            for name, region in spec.regions
        ),
        "ignore": spec.ignore is None or numbers((spec.ignore,), 1, whole, 0),
        "shape": spec.shape is None or sized(spec.shape),
        "class_counts": spec.class_counts is None or numbers(spec.class_counts, None, whole, 0),
        "mirror_axes": numbers(spec.mirror_axes, None, whole, 0)
        and all(axis < dims for axis in spec.mirror_axes),
        "modality": isinstance(spec.modality, tuple)
        and all(isinstance(name, str) for name in spec.modality),
        **{
            name: values == () or (numbers(values, dims, real, 0) and 0 not in values)
            for name, values in (
                ("spacing_low_mm", spec.spacing_low_mm),
                ("spacing_high_mm", spec.spacing_high_mm),
            )
        },
        "brightest": spec.brightest == () or numbers(spec.brightest, 2, real, -math.inf),
    }


_LIMIT = 2**31
_LONGEST_AXIS = 2**20
_OLD_FIELDS = {"counts": "class_counts", "mirrored": "mirror_axes"}
"""What earlier versions called fields in their checkpoints."""


@runtime_checkable
class NeedsSpec(Protocol):
    """A loss that depends on the data as a whole, and is told of it before training."""

    def bind(self, spec: DataSpec) -> None:
        """Raises ConfigError where loss and data do not fit."""
