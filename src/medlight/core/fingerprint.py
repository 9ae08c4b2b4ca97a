"""What a table says, as one line of JSON a case: what fingerprints are made of.

Column by column, and joined at the end: a million dictionaries and as many calls of `json.dumps`
would take three times as long.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from json import dumps
from json.encoder import encode_basestring_ascii as quoted

import numpy as np
from numpy.typing import NDArray

Column = Sequence[str | None]


def case_lines(
    *,
    ids: Sequence[str],
    patients: Sequence[str],
    files: Mapping[str, Column],
    meta: Mapping[str, Column],
    tags: NDArray[np.float32] | None,
    source_of: NDArray[np.int16],
) -> Iterator[str]:
    """For each case the JSON of `{files, id, meta?, patient, source?, tags?}`, keys in order."""
    parts: list[Iterator[str]] = [
        (f'{{"files": {{{text}}}' for text in _members(files, len(ids))),
        (f', "id": {text}' for text in map(quoted, ids)),
        (f', "meta": {{{text}}}' if text else "" for text in _members(meta, len(ids))),
        (f', "patient": {text}' for text in map(quoted, patients)),
    ]
    if source_of.any():
        parts.append(f', "source": {row}' if row else "" for row in source_of.tolist())
    if tags is not None:
        parts.append(f', "tags": {text}' for text in _lists(tags))
    return map("".join, zip(*parts, repeat("}")))


def _members(columns: Mapping[str, Column], rows: int) -> Iterator[str]:
    """`"key": "value", ...` of what each row has."""
    if not columns:
        return repeat("", rows)
    names = [f"{quoted(key)}: " for key in sorted(columns)]
    values = zip(*(columns[key] for key in sorted(columns)), strict=True)
    return (
        ", ".join([n + quoted(v) for n, v in zip(names, row, strict=True) if v is not None])
        for row in values
    )


def _lists(tags: NDArray[np.float32]) -> Iterator[str]:
    """The list of each row, null for nan. Rows are few that differ, and are written once."""
    known: dict[bytes, str] = {}
    width = tags.shape[1] * tags.itemsize
    content = np.ascontiguousarray(tags).tobytes()
    for row, start in enumerate(range(0, len(content), width) if width else range(len(tags))):
        key = content[start : start + width]
        if key not in known:
            known[key] = dumps([None if t != t else t for t in tags[row].tolist()])  # nan != nan
        yield known[key]
