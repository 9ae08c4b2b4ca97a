"""The table of a data set: ordered, immutable, held as columns."""

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from json import dumps
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.case import MASK_ROLE, Case, is_mask_role
from medlight.core.errors import DataError
from medlight.core.file_ref import FileRef
from medlight.core.index_builder import IndexBuilder
from medlight.core.labels import Labels


@dataclass(frozen=True, slots=True)
class Source:
    """Where cases come from and what may be done with them.

    `public` says whether pixels and case ids may leave the machine (to W&B, say).
    """

    name: str
    root: Path
    version: str = ""
    licence: str = ""
    citation: str = ""
    public: bool = False


class Index:
    """Cases in order, the meaning of their labels, and their sources.

    Held as columns: a million cases with 14 tags fit in well under 2 GB, where a million objects
    would not. `index[i]` and iteration give `Case` views. Paths are kept relative to the root of
    their source, so that an index means the same when the folder moves.
    """

    def __init__(
        self,
        *,
        labels: Labels,
        sources: Sequence[Source],
        ids: Sequence[str],
        patients: Sequence[str],
        files: Mapping[str, Sequence[str | None]],
        tags: NDArray[np.float32] | None = None,
        meta: Mapping[str, Sequence[str | None]] | None = None,
        source_of: NDArray[np.int16] | None = None,
    ) -> None:
        self.labels = labels
        self.sources = tuple(sources)
        self.ids = tuple(ids)
        self.patients = tuple(patients)
        self._files = {role: tuple(column) for role, column in files.items()}
        self._tags = tags
        self._meta = {key: tuple(column) for key, column in (meta or {}).items()}
        self._source_of = np.zeros(len(self.ids), np.int16) if source_of is None else source_of
        columns = [self.patients, *self._files.values(), *self._meta.values(), self._source_of]
        if tags is not None:
            columns.append(tags)
        if any(len(column) != len(self.ids) for column in columns):
            raise ValueError(f"every column must hold {len(self.ids)} cases")
        self._row = {case: row for row, case in enumerate(self.ids)}
        if len(self._row) != len(self.ids):
            raise DataError(f"{self.name}: case ids are not unique: {self._first_duplicates()}")

    def _first_duplicates(self) -> str:
        case = next(case for row, case in enumerate(self.ids) if self._row[case] != row)
        paths = [row[self.ids.index(case)] for row in self._files.values()]
        others = [row[self._row[case]] for row in self._files.values()]
        return f"{paths[0]} and {others[0]} would both be {case!r}; rename one" if paths else case

    @property
    def name(self) -> str:
        return "+".join(source.name for source in self.sources)

    @property
    def public(self) -> bool:
        return all(source.public for source in self.sources)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Case]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, key: int | str) -> Case:
        """The case at a row, or with an id."""
        row = self._row[key] if isinstance(key, str) else key
        root = self.sources[self._source_of[row]].root
        return Case(
            id=self.ids[row],
            patient=self.patients[row],
            files={
                role: FileRef.parse(text, root)
                for role, column in self._files.items()
                if (text := column[row]) is not None
            },
            tags={}
            if self._tags is None
            else dict(zip(self.labels.names, map(float, self._tags[row]), strict=True)),
            meta={
                key: value
                for key, column in self._meta.items()
                if (value := column[row]) is not None
            },
        )

    def column(self, key: str) -> tuple[str | None, ...]:
        """One meta column, None where a case has no such value."""
        return self._meta.get(key, (None,) * len(self))

    @property
    def files(self) -> Mapping[str, tuple[str | None, ...]]:
        """Role to what it names of each case, as `ref_text` writes it; None for none."""
        return self._files

    @property
    def meta(self) -> Mapping[str, tuple[str | None, ...]]:
        """Key to the value of each case; None for none."""
        return self._meta

    @property
    def source_of(self) -> NDArray[np.int16]:
        """(N,) number of the source of each case."""
        return self._source_of

    def refs(self, role: str) -> list[FileRef | None]:
        """What a role names of each case, None where it names nothing: without making `Case`s."""
        column = self._files.get(role, (None,) * len(self))
        roots = [source.root for source in self.sources]
        return [
            None if text is None else FileRef.parse(text, roots[source])
            for text, source in zip(column, self._source_of.tolist(), strict=True)
        ]

    @property
    def tags(self) -> NDArray[np.float32] | None:
        """(N, K) tags in the order of `labels.names`, or None where cases have none."""
        return self._tags

    def subset(self, cases: Iterable[str]) -> "Index":
        """The cases with these ids, in the order given. A KeyError names an unknown one."""
        rows = [self._row[case] for case in cases]
        return Index(
            labels=self.labels,
            sources=self.sources,
            ids=[self.ids[row] for row in rows],
            patients=[self.patients[row] for row in rows],
            files={role: [column[row] for row in rows] for role, column in self._files.items()},
            tags=None if self._tags is None else self._tags[rows],
            meta={key: [column[row] for row in rows] for key, column in self._meta.items()},
            source_of=self._source_of[rows],
        )

    def without(self, cases: Container[str]) -> "Index":
        """All but the cases with these ids."""
        kept = [case for case in self.ids if case not in cases]
        return self if len(kept) == len(self) else self.subset(kept)

    def with_patients(self, patients: Sequence[str]) -> "Index":
        """The same cases as these patients', one for each case."""
        index = self.subset(self.ids)
        index.patients = tuple(patients)
        return index

    def with_mask(self, role: str) -> "Index":
        """The same cases, with what this role names as their mask, and no other masks."""
        index = self.subset(self.ids)
        kept = {key: column for key, column in self._files.items() if not is_mask_role(key)}
        index._files = {**kept, MASK_ROLE: self._files[role]}
        return index

    def fingerprint(self) -> str:
        """sha256 of what the table says, whatever the order of its cases and wherever it lies."""
        lines = case_json_lines(
            ids=self.ids,
            patients=self.patients,
            files=self._files,
            meta=self._meta,
            tags=self._tags,
            source_of=self._source_of,
        )
        head = json.dumps([asdict(self.labels), [(s.name, s.version) for s in self.sources]])
        return hashlib.sha256("\n".join([head, *sorted(lines)]).encode()).hexdigest()

    @classmethod
    def from_records(
        cls, *, labels: Labels, sources: Sequence[Source], records: Iterable[Mapping[str, Any]]
    ) -> "Index":
        """From one mapping a case: id, patient, files {role: path relative to the root, or a
        `ref_text`}, and where there are any tags [K] (None for nan), meta {key: text}, source (row
        of `sources`)."""
        columns = IndexBuilder()
        columns.extend(list(records))
        return cls(labels=labels, sources=sources, **columns.build())


Column = Sequence[str | None]


def case_json_lines(
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
