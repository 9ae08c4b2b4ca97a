"""Rows to columns, thousands at a time: what reading a million cases in little memory needs."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = list[str | None]


class IndexBuilder:
    """The columns of an `Index`, filled from records `{id, patient, files, tags?, meta?, source?}`.

    A role or key that first occurs late gets None for the rows before.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.patients: list[str] = []
        self.files: dict[str, Column] = {}
        self.meta: dict[str, Column] = {}
        self._sources: list[NDArray[np.int16]] = []
        self._tags: list[NDArray[np.float32]] = []
        self._interned: dict[str, str] = {}

    def extend(self, records: Sequence[Mapping[str, Any]]) -> None:
        """ValueError where some records have tags, and others none or another number of them."""
        before = len(self.ids)
        self.ids += [str(record["id"]) for record in records]
        # One object for each patient of these records; a dict of all would cost more than it saves.
        known = {case: case for case in self.ids[before:]}
        self.patients += [known.setdefault(p, p) for p in [str(r["patient"]) for r in records]]
        _append(self.files, [record["files"] for record in records], before)
        meta = [record.get("meta") or {} for record in records]
        if any(meta):
            _append(self.meta, meta, before, self._interned)
        tagged = sum("tags" in record for record in records)
        if tagged not in (0, len(records)):
            raise ValueError(f"{len(records) - tagged} of {len(records)} records have no tags")
        if tagged:  # NumPy reads None as nan
            self._tags.append(np.array([record["tags"] for record in records], np.float32))
        self._sources.append(np.array([record.get("source", 0) for record in records], np.int16))

    def build(self) -> dict[str, Any]:
        """The keyword arguments of `Index`."""
        rows = len(self.ids)
        for columns in (self.files, self.meta):
            for column in columns.values():
                column.extend([None] * (rows - len(column)))
        tags = np.concatenate(self._tags) if self._tags else None
        if tags is not None and len(tags) != rows:
            raise ValueError(f"{rows - len(tags)} of {rows} records have no tags")
        sources = np.concatenate([*self._sources, np.zeros(0, np.int16)])
        return {
            "ids": self.ids,
            "patients": self.patients,
            "files": self.files,
            "tags": tags,
            "meta": self.meta,
            "source_of": sources,
        }


def _append(
    columns: dict[str, Column],
    rows: Sequence[Mapping[str, str]],
    before: int,
    interned: dict[str, str] | None = None,
) -> None:
    """Where `interned` is given, a text that occurs often is one object."""
    for key in dict.fromkeys(chain.from_iterable(rows)):
        column = columns.setdefault(key, [])
        column.extend([None] * (before - len(column)))
        values = [row.get(key) for row in rows]
        if interned is not None:
            values = [v if v is None else interned.setdefault(v, v) for v in values]
        column.extend(values)
