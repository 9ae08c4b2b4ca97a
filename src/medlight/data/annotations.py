"""What patches show of boxes and points. n spatial axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medlight.core.annotations import seen_boxes, seen_points


def seen_annotations(
    known: Sequence[Mapping[str, Any]], first: NDArray[Any], shape: Sequence[int]
) -> dict[str, list[torch.Tensor]]:
    """Points, boxes and their labels in voxels of patches, a tensor for each patch.

    Args:
        known: of the case of each patch, as `Stored.annotations`.
        first: (B, n) voxels where the patches start.
        shape: of every patch.
    """
    noted: dict[str, list[torch.Tensor]] = {}
    for case, corner in zip(known, first, strict=True):
        every = {key: np.array(values) for key, values in case.items()}
        points = every.get("points", np.zeros((0, 0))).reshape(-1, len(shape)) - corner
        boxes = every.get("boxes", np.zeros((0, 0))).reshape(-1, 2 * len(shape))
        boxes, kept = seen_boxes(boxes - np.tile(corner, 2), shape)
        labels = every.get("box_labels", np.zeros(0))[kept]
        for key, array, kind in (
            ("points", seen_points(points, shape), torch.float32),
            ("boxes", boxes, torch.float32),
            ("box_labels", labels, torch.int64),
        ):
            noted.setdefault(key, []).append(torch.from_numpy(array).to(kind))
    return noted
