"""What the numbers of a target mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from medlight.core.errors import ConfigError, DataError

LabelKind = Literal["multiclass", "multilabel", "number", "mask"]
LABEL_KINDS: tuple[LabelKind, ...] = ("multiclass", "multilabel", "number", "mask")

_WORDS: dict[LabelKind, tuple[str, str]] = {
    "multiclass": ("one label per image", "classification"),
    "multilabel": ("several labels per image", "multilabel"),
    "number": ("numbers instead of labels", "a task of your own (docs/new_task.md)"),
    "mask": ("masks", "segmentation"),
}
"""Kind to what an image has, and to the task for it."""

_OLD_KINDS = {"class": "multiclass", "findings": "multilabel"}
"""What earlier versions called kinds in their checkpoints."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Names in the order of their indices, and how they relate.

    Attributes:
        names: of classes, labels or numbers.
        kind: "multiclass": one of `names` per image; "multilabel": any of them per image, nan if
            nobody looked; "number": a number for each of `names` per image, nan if it is unknown;
            "mask": one of `names` per voxel, the first being the background.

    >>> Labels(("background", "anterior", "posterior"), "mask").foreground
    ('anterior', 'posterior')
    """

    names: tuple[str, ...]
    kind: LabelKind

    def __post_init__(self) -> None:
        if self.kind not in LABEL_KINDS:
            raise ValueError(f"Labels.kind must be one of {LABEL_KINDS}, got {self.kind!r}")
        if len(set(self.names)) != len(self.names) or not self.names:
            raise DataError(f"labels must have names, each of its own, got {self.names}")

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "Labels":
        """From {"names": [...], "kind": "..."}, as checkpoints and indexes hold it."""
        kind = _OLD_KINDS.get(saved["kind"], saved["kind"])
        if isinstance(saved["names"], str):
            raise ValueError(f"names of labels are a list, got {saved['names']!r:.60}")
        return cls(tuple(saved["names"]), kind)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def foreground(self) -> tuple[str, ...]:
        """The names that are scored: all but the background of a mask."""
        return self.names[1:] if self.kind == "mask" else self.names

    @property
    def per_voxel(self) -> bool:
        """Whether they are masks: a label for each voxel, not for each image."""
        return self.kind == "mask"

    @property
    def exclusive(self) -> bool:
        """Whether an image, or a voxel, has exactly one of them."""
        return self.kind in ("multiclass", "mask")

    @property
    def numeric(self) -> bool:
        """Whether they are numbers, not classes that are there or not."""
        return self.kind == "number"

    def describe(self) -> str:
        """What an image has, in words."""
        return _WORDS[self.kind][0]

    @property
    def suggested_task(self) -> str:
        """The option of `task=` that learns them."""
        return _WORDS[self.kind][1]

    def encode(self, tags: Mapping[str, float]) -> int | np.ndarray:
        """Tags of one case as a target.

        Returns:
            The index of its class, or (K,) float32 with nan if labels do not exclude each other.

        Raises:
            ValueError: classes exclude each other, but not exactly one of them is 1.

        >>> Labels(("cat", "dog"), "multiclass").encode({"dog": 1})
        1
        """
        values = np.array([tags.get(name, np.nan) for name in self.names], dtype=np.float32)
        if not self.exclusive:
            return values
        positive = np.flatnonzero(values == 1)
        if len(positive) != 1:
            raise ValueError(f"expected exactly one of {self.names} to be 1, got {dict(tags)}")
        return int(positive[0])


def region_class_order(regions: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    """Find the label that each region paints: the smallest of its own that no later region holds.

    Args:
        regions: name to labels, in the order in which they are painted.

    Raises:
        ConfigError: a region has no such label; those after it would cover it wherever it is.

    >>> region_class_order({"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)})
    (2, 1, 4)
    """
    labels, later = [], set[int]()
    for name, region in reversed(list(regions.items())):
        own = set(region) - later
        if not own:
            raise ConfigError(
                f"region {name!r} has no label of its own: those after it hold {sorted(region)}; "
                f"name larger regions before the ones they contain"
            )
        labels.append(min(own))
        later |= set(region)
    return tuple(reversed(labels))
