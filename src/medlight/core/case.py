"""One row of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from medlight.core.file_ref import FileRef

IMAGE_ROLE, MASK_ROLE = "image", "mask"


def is_mask_role(role: str) -> bool:
    """Whether a role names labels of voxels: `mask`, or one of several, as `mask/anna`.

    >>> is_mask_role("mask/anna"), is_mask_role("image")
    (True, False)
    """
    return role.partition("/")[0] == MASK_ROLE


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of one image without opening it: never pixels.

    Attributes:
        id: unique in its index, and part of file names: letters of any script, digits, `._-/` only.
        patient: what a split must keep together.
        files: role ("image", "mask", ...) to what it names; several masks are `mask/<annotator>`.
        tags: label name to 1, 0, -1 (uncertain) or nan (nobody looked).
        meta: anything else that is small; "split" holds the side a data set came with.
    """

    id: str
    patient: str
    files: Mapping[str, FileRef] = field(default_factory=dict)
    tags: Mapping[str, float] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)
