"""Rows to columns, one at a time: what reading a million cases in little memory needs."""

import gc
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = list[str | None]


class Columns:
    """The columns of an `Index`, filled from records `{id, patient, files, tags?, meta?, source?}`.

    A role or key that first occurs late gets None for the rows before.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.patients: list[str] = []
        self.files: dict[str, Column] = {}
        self.meta: dict[str, Column] = {}
        self._source_of = array("h")
        self._tags = array("f")
        self._tagged = 0
        self._values: dict[str, str] = {}

    def extend(self, records: Iterable[Mapping[str, Any]]) -> None:
        for record in records:
            case, patient = str(record["id"]), str(record["patient"])
            _append(self.files, record["files"], len(self.ids))
            meta = record.get("meta")
            if meta:  # few distinct values: one object each, however many rows
                shared = {k: self._values.setdefault(v, v) for k, v in meta.items()}
                _append(self.meta, shared, len(self.ids))
            tags = record.get("tags")
            if tags is not None:
                self._tagged += 1
                self._tags.extend([np.nan if tag is None else tag for tag in tags])
            self._source_of.append(record.get("source", 0))
            self.ids.append(case)
            same = case if patient == case else self._values.setdefault(patient, patient)
            self.patients.append(same)

    def finish(self) -> dict[str, Any]:
        """The keyword arguments of `Index`. ValueError where some rows have tags, some none."""
        rows = len(self.ids)
        for columns in (self.files, self.meta):
            for column in columns.values():
                column.extend([None] * (rows - len(column)))
        if self._tagged not in (0, rows):
            raise ValueError(f"{rows - self._tagged} of {rows} records have no tags")
        tags: NDArray[np.float32] | None = None
        if self._tagged:
            tags = np.frombuffer(self._tags, np.float32).reshape(rows, -1)
        return {
            "ids": self.ids,
            "patients": self.patients,
            "files": self.files,
            "tags": tags,
            "meta": self.meta,
            "source_of": np.frombuffer(self._source_of, np.int16)
            if rows
            else np.zeros(0, np.int16),
        }


def _append(columns: dict[str, Column], values: Mapping[str, str | None], row: int) -> None:
    for key, value in values.items():
        column = columns.get(key)
        if column is None:
            column = columns[key] = []
        if len(column) < row:
            column.extend([None] * (row - len(column)))
        column.append(value)


@contextmanager
def without_collecting() -> Iterator[None]:
    """No searches for reference cycles meanwhile: among millions of new objects that hold none,
    they take half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
