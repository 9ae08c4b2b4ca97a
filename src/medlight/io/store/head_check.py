"""Whether the head of a stored case makes sense: its checksum says only that nobody damaged it."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from medlight.core.intensity import PERCENTILES, IntensityStatistics
from medlight.io.store.codec import CODECS

STATISTICS_FIELDS = tuple(field.name for field in fields(IntensityStatistics))
_FAR_MM = 1e100  # its square is a number still
_GRID = {"shape", "affine", "sform_code", "qform_code", "units", "qform"}

_LIMIT = 2**63


def check_head(metadata: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Check that the parts of a head fit each other. In plain Python: every case is opened so.

    Args:
        metadata: the JSON.
        arrays: role to `ArrayLocation`.

    Raises:
        ValueError: they do not; or another one of `MALFORMED`.
    """
    channels, *shape = arrays["image"].shape
    wanted = {"image": (channels, *shape), "mask": (1, *shape)}
    for role, place in arrays.items():
        size = math.prod(place.shape) * place.dtype.itemsize
        known = place.dtype.kind in "iuf" and place.codec in CODECS
        whole = place.codec != "none" or place.length == size
        fits = place.shape == wanted.get(role, (place.shape[0], 1 + len(shape)))
        if not (known and whole and fits):
            raise ValueError(f"array {role}")
    for name in ("scale", "shift", *STATISTICS_FIELDS):
        values = metadata[name]
        if name == "percentiles":
            if any(len(row) != len(PERCENTILES) for row in values):
                raise ValueError(name)
            values = [sum(row) for row in values]
        if len(values) != channels or not math.isfinite(sum(values)):
            raise ValueError(name)
    low, high = metadata["labels"]
    if not isinstance(metadata["set"] + metadata["case"], str) or not (
        -_LIMIT <= int(low) <= int(high) < _LIMIT
    ):
        raise ValueError("set, case or labels")
    for name in ("source", "grid"):
        grid = metadata[name]
        forms = [form for form in (grid["affine"], grid["qform"]) if form is not None]
        codes = [grid[key] for key in ("sform_code", "qform_code", "units")]
        if (
            grid.keys() != _GRID
            or any([len(row) for row in form] != [4] * 4 for form in forms)
            or not all(abs(each) < _FAR_MM for form in forms for row in form for each in row)
            or not all(type(each) is int for each in (*codes, *grid["shape"]))
            or len(grid["shape"]) not in (2, 3)
            or (name == "grid" and grid["shape"] != shape)
        ):
            raise ValueError(name)
    for name, boxes in metadata.get("annotations", {}).items():
        if not isinstance(name, str) or not isinstance(boxes, list):
            raise ValueError("annotations")
