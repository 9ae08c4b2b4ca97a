"""One label for each slice of a volume: by its mask, or from a table."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import ConfigError
from medlight.core.index import Index
from medlight.core.labels import Labels

BY_MASK = "mask"
COLUMNS = ("case", "slice", "label")
SEPARATOR = "/"


@dataclass(frozen=True)
class SliceLabels:
    """Attributes:
    labels: the classes.
    table: case to number of a slice to class; None: whether the slice's mask holds any label.
    """

    labels: Labels
    table: Mapping[str, Mapping[int, int]] | None = None

    @classmethod
    def read(cls, setting: str, index: Index) -> "SliceLabels":
        """Read what `data.slice_labels` names.

        Args:
            setting: "mask", or a csv file with `COLUMNS`; slices that it leaves out are not used.
            index: all volumes.

        Raises:
            ConfigError: the table cannot be read, or says what cannot be.
        """
        if setting == BY_MASK:
            return cls(Labels(("background", "foreground"), "multiclass"))
        said = f"data.slice_labels={setting}"
        try:
            with Path(setting).expanduser().open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeError, csv.Error) as error:
            raise ConfigError(f"{said}: neither {BY_MASK} nor a table ({error})") from error
        if not rows or not set(COLUMNS) <= rows[0].keys():
            raise ConfigError(f"{said}: expected a table with columns {', '.join(COLUMNS)}")
        names = tuple(sorted({str(row["label"] or "") for row in rows}))
        if len(names) < 2 or "" in names:
            raise ConfigError(f"{said}: expected two labels or more, got {', '.join(names)!r}")
        table: dict[str, dict[int, int]] = {case: {} for case in index.ids}
        for line, row in enumerate(rows, 2):
            case, number, label = (str(row[column] or "") for column in COLUMNS)
            if case not in table or not number.isdecimal():
                what = f"slice {number!r}" if case in table else f"case {case!r}"
                raise ConfigError(f"{said}: line {line}: there is no {what}; mend it")
            if table[case].setdefault(int(number), names.index(label)) != names.index(label):
                raise ConfigError(f"{said}: line {line}: slice {number} of {case} has two labels")
        return cls(Labels(names, "multiclass"), table)

    def of_volume(
        self, case: str, numbers: Sequence[int], mask: NDArray[np.integer], ignore: int | None
    ) -> dict[int, int]:
        """Give the class of each slice that has one, by its place in the prepared volume.

        Args:
            case: id of the volume.
            numbers: of its slices in the file, by place.
            mask: (1, *S) with slices first; read where they are labelled by it.
            ignore: label that says nothing.

        Raises:
            ConfigError: the table names a slice that is not there, or none.
        """
        if self.table is None:
            positive = mask[0] > 0 if ignore is None else (mask[0] > 0) & (mask[0] != ignore)
            return dict(enumerate(positive.any(axis=(1, 2)).astype(int).tolist()))
        of_case = self.table[case]
        if not of_case:
            raise ConfigError(
                f"data.slice_labels: no slice of {case!r} has a label; add one, or leave the case "
                f"out by data.exclude=[{case}]"
            )
        if missing := sorted(set(of_case) - set(numbers)):
            raise ConfigError(
                f"data.slice_labels: {case!r} has no slice {missing[0]}: its slices are "
                f"{min(numbers)} to {max(numbers)}, counted from 0 as in the file"
            )
        return {place: of_case[n] for place, n in enumerate(numbers) if n in of_case}


def slice_id(case: str, number: int) -> str:
    """Name a slice, in tables of results: its volume, and its number in the file.

    >>> slice_id("spleen_10", 7)
    'spleen_10/007'
    """
    return f"{case}{SEPARATOR}{number:03d}"


def volume_of(slice_: str) -> str:
    """The inverse of `slice_id`, as far as the volume goes."""
    return slice_.rpartition(SEPARATOR)[0]
