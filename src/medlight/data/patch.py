"""How large a patch is and where it is cut. B of them, n spatial axes; a window is one slice for
each axis."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from medlight.core.annotations import clip_boxes, clip_points
from medlight.core.errors import ConfigError
from medlight.io.store.stored_cases import Slices

AUTO_PATCH_VOXELS = 96**3
"""Largest patch that `patch="auto"` chooses: what trains on a CPU or a small GPU."""
PATCH_MULTIPLE = 8


def auto_patch_size(shape: NDArray[np.floating]) -> tuple[int, ...]:
    """Round a shape up to multiples of 8, then shorten its longest axis until it fits the cap.

    Args:
        shape: (n,) voxels, such as the median of the cases.

    >>> auto_patch_size(np.array([36.0, 50.0, 35.0]))
    (40, 56, 40)
    """
    patch = [PATCH_MULTIPLE * int(np.ceil(n / PATCH_MULTIPLE)) for n in shape]
    while np.prod(patch) > AUTO_PATCH_VOXELS:
        patch[int(np.argmax(patch))] -= PATCH_MULTIPLE
    return tuple(patch)


def training_patch(
    patch: Sequence[int] | Literal["auto"] | None, shapes: NDArray[np.int64], slices: str | None
) -> tuple[int, ...] | None:
    """Settle the shape of training images.

    Args:
        patch: as typed.
        shapes: (N, n) voxels of the training cases, or of their slices.
        slices: plane of the slices; None: there are none.

    Returns:
        n voxels; None where images are taken whole. Slices are always given a shape, as they are
        windows of volumes in prediction.

    Raises:
        ConfigError: there are not n numbers, or whole slices differ in size.
    """
    if patch == "auto":
        return auto_patch_size(np.median(shapes, axis=0))
    if patch is not None:
        if len(patch) != shapes.shape[1]:
            what = f"the height and width of slices (data.slices={slices})"
            raise ConfigError(
                f"data.patch must have {shapes.shape[1]} numbers for "
                f"{what if slices else 'this data'}, got {list(patch)}"
            )
        return tuple(patch)
    whole = shared_shape(shapes)
    if slices and whole is None:
        raise ConfigError(
            f"data.slices={slices}: slices differ in size, and a batch needs one: type "
            f"data.patch=auto, which cuts and pads"
        )
    return whole if slices else None


def shared_shape(shapes: NDArray[np.int64]) -> tuple[int, ...] | None:
    """The (N, n) shapes as one; None where they differ."""
    return tuple(map(int, shapes[0])) if (shapes == shapes[0]).all() else None


PickCentre = Callable[[int, np.random.Generator], NDArray[np.integer] | None]


@dataclass(frozen=True, slots=True)
class ForegroundSampler:
    """Which patches are centred on a voxel of the foreground (Isensee et al. 2021).

    Attributes:
        fraction: of the draws; they are spread evenly, so that every batch has its part of them.
        ignore: label that is not learnt: every patch is then centred on a voxel that is.
    """

    fraction: float
    ignore: int | None = None

    def sample_centre(
        self, read: Callable[[], NDArray[np.int32]], position: int, random: np.random.Generator
    ) -> NDArray[np.int32] | None:
        """A voxel of the foreground, of each label equally often; None where any place will do.

        Args:
            read: what gives the (M, 1 + n) label and position of voxels to choose from; asked
                where there is something to choose.
            position: place in the epoch's order.
        """
        aimed = int((position + 1) * self.fraction) > int(position * self.fraction)
        if not aimed and self.ignore is None:
            return None
        class_locations = read()
        class_locations = (
            class_locations[class_locations[:, 0] != self.ignore]
            if self.ignore is not None
            else class_locations
        )
        found = class_locations[class_locations[:, 0] > 0]
        if aimed and len(found):
            labels = np.unique(found[:, 0])
            class_locations = found[found[:, 0] == labels[random.integers(len(labels))]]
        elif self.ignore is None or not len(class_locations):
            return None
        voxel: NDArray[np.int32] = class_locations[random.integers(len(class_locations)), 1:]
        return voxel


def patch_starts(
    shapes: NDArray[np.int64],
    patch: Sequence[int],
    random: Callable[[int], np.random.Generator],
    pick_centre: PickCentre | None = None,
) -> NDArray[np.int64]:
    """The first voxel of each patch, in voxels of its case: negative where the patch is larger,
    so that the case lies in its middle.

    Args:
        shapes: (B, n) of the cases.
        random: numbers for the patch with this place in the batch; asked for where there is
            something to choose.
        pick_centre: place in the batch and its numbers to the voxel that its patch is centred on,
            as far as the case reaches; None for anywhere.
    """
    room = shapes - np.array(patch)
    first: NDArray[np.int64] = -(np.maximum(-room, 0) // 2)
    room = np.maximum(room, 0)
    for place in np.flatnonzero(room.any(axis=1)).tolist():
        numbers = random(place)
        centre = None if pick_centre is None else pick_centre(place, numbers)
        first[place] += (
            [int(numbers.integers(0, most + 1)) for most in room[place].tolist()]
            if centre is None
            else np.clip(centre - np.array(patch) // 2, 0, room[place])
        )
    return first


def clip_to_case(
    first: Sequence[int], patch: Sequence[int], shape: Sequence[int]
) -> tuple[Slices, Slices]:
    """Find what a case has of a patch.

    Args:
        first: voxel where the patch starts; negative where it is larger than the case.
        patch: its shape.
        shape: of the case.

    Returns:
        The window in the case, and where in the patch that lies.
    """
    ends = [(max(f, 0), min(f + p, n)) for f, p, n in zip(first, patch, shape, strict=True)]
    window = tuple(slice(start, stop) for start, stop in ends)
    inside = tuple(slice(a - f, b - f) for (a, b), f in zip(ends, first, strict=True))
    return window, inside


def crop_annotations(
    known: Sequence[Mapping[str, Any]], first: NDArray[Any], shape: Sequence[int]
) -> dict[str, list[torch.Tensor]]:
    """Points, boxes and their labels in voxels of patches, a tensor for each patch.

    Args:
        known: of the case of each patch, as `StoredCases.annotations`.
        first: (B, n) voxels where the patches start.
        shape: of every patch.
    """
    noted: dict[str, list[torch.Tensor]] = {}
    for case, corner in zip(known, first, strict=True):
        every = {key: np.array(values) for key, values in case.items()}
        points = every.get("points", np.zeros((0, 0))).reshape(-1, len(shape)) - corner
        boxes = every.get("boxes", np.zeros((0, 0))).reshape(-1, 2 * len(shape))
        boxes, kept = clip_boxes(boxes - np.tile(corner, 2), shape)
        labels = every.get("box_labels", np.zeros(0))[kept]
        for key, array, kind in (
            ("points", clip_points(points, shape), torch.float32),
            ("boxes", boxes, torch.float32),
            ("box_labels", labels, torch.int64),
        ):
            noted.setdefault(key, []).append(torch.from_numpy(array).to(kind))
    return noted
