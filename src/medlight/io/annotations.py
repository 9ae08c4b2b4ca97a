"""Boxes and points of an image, from JSON.

    {"points": [[10.5, 20, 30]], "boxes": [[2, 3, 4, 9, 10, 12]], "box_labels": [1]}

In voxel indices of the image's file; see `medlight.core.annotations` for the frame.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError, reading

ANNOTATIONS_ROLE = "annotations"
Annotations = dict[str, NDArray[np.float64]]
"""`points` (P, n) and `boxes` (N, 2n) with `box_labels` (N,), where there are any."""


def read_annotations(path: Path, ndim: int) -> Annotations:
    """Read the boxes and points of an image.

    Args:
        path: of the JSON file.
        ndim: spatial axes of the image.

    Returns:
        What the file holds, and `box_labels` of zeros if it names none.

    Raises:
        DataError: the file is missing, is not such JSON, or has other dimensions.
    """
    with reading(path, "mend the annotations, or leave the case out"):
        content = json.loads(path.read_text(encoding="utf-8"))
        found = {key: np.array(values, np.float64, ndmin=1) for key, values in content.items()}
    unknown = found.keys() - {"points", "boxes", "box_labels"}
    if unknown:
        raise DataError(f"{path}: unknown key {min(unknown)!r}; use points, boxes, box_labels")
    for key, width in (("points", ndim), ("boxes", 2 * ndim)):
        if key in found:
            if found[key].size and found[key].shape[1:] != (width,):
                raise DataError(f"{path}: {key} must hold {width} numbers each for this image")
            found[key] = found[key].reshape(-1, width)
    boxes = found.get("boxes", np.zeros((0, 0)))
    if len(found.setdefault("box_labels", np.zeros(len(boxes)))) != len(boxes):
        raise DataError(f"{path}: box_labels must hold a number for each of {len(boxes)} boxes")
    return found
