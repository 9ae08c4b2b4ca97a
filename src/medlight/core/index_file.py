"""An index in a file: jsonl, one short line a case after a head, easy to diff and fast to read.

The head names the columns, so that lines are lists of what differs:

    {"format": 2, "labels": ..., "sources": ..., "columns": ["id", "files.image", "tags", ...]}
    ["00000001_000", "images_001/00000001_000.png", [0, 1, null], ...]
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from medlight.core.errors import DataError
from medlight.core.index import Index, Source
from medlight.core.index_builder import pause_gc
from medlight.core.labels import Labels

INDEX_FORMAT = 2
CHUNK_LINES = 10_000


def save_index(index: Index, path: Path) -> None:
    """Write an index; paths stay relative to the roots of their sources."""
    columns: dict[str, Any] = {"id": index.ids, "patient": index.patients}
    columns |= {f"files.{role}": column for role, column in index.files.items()}
    columns |= {f"meta.{key}": column for key, column in index.meta.items()}
    if len(index.sources) > 1:
        columns["source"] = index.source_of.tolist()
    if index.tags is not None:
        columns["tags"] = map(_whole, index.tags.tolist())
    head = {
        "format": INDEX_FORMAT,
        "labels": asdict(index.labels),
        "sources": [asdict(s) | {"root": str(s.root)} for s in index.sources],
        "columns": list(columns),
    }
    with path.open("w", encoding="utf-8") as file:
        for line in chain([head], zip(*columns.values(), strict=True)):
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def _whole(tags: list[float]) -> list[float | None]:
    """Nan as null; whole numbers without their .0, which are fewer bytes."""
    return [None if t != t else t if t % 1 else int(t) for t in tags]


def load_index(path: Path, root: Path | None = None) -> Index:
    """Read what `save_index` wrote. `root` moves an index of one source to another folder.

    DataError names the file where it holds something else.
    """
    try:
        with path.open(encoding="utf-8") as file, pause_gc():
            head = json.loads(next(file))
            if head["format"] != INDEX_FORMAT:
                raise DataError(
                    f"{path}: index format {head['format']} is not {INDEX_FORMAT}; save it again"
                )
            labels = Labels.from_dict(head["labels"])
            sources = [Source(**s | {"root": Path(s["root"])}) for s in head["sources"]]
            columns = _columns(file, head["columns"], len(labels.names))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such index") from error
    except (StopIteration, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a saved index ({error!r}); save it again") from error
    if root is not None:
        sources = [replace(source, root=root) for source in sources]
    return Index(labels=labels, sources=sources, **columns)


def _columns(file: Iterator[str], names: list[str], labels: int) -> dict[str, Any]:
    """The columns of an `Index`. ValueError for a line that is too long or too short."""
    texts: dict[str, list[Any]] = {name: [] for name in names if name != "tags"}
    tags = [np.zeros((0, labels), np.float32)]
    same: dict[str | None, str | None] = {}
    while lines := list(islice(file, CHUNK_LINES)):
        some = zip(*json.loads(f"[{','.join(lines)}]"), strict=True)
        for name, column in zip(names, some, strict=True):
            if name == "tags":  # NumPy reads None as nan
                tags.append(np.array(column, np.float32).reshape(-1, labels))
            elif name.startswith("meta."):  # a text that occurs often is one object
                texts[name] += [same.setdefault(text, text) for text in column]
            else:
                texts[name] += column
    return {
        "ids": texts["id"],
        "patients": texts["patient"],
        "files": {k.removeprefix("files."): c for k, c in texts.items() if k.startswith("files.")},
        "meta": {k.removeprefix("meta."): c for k, c in texts.items() if k.startswith("meta.")},
        "tags": np.concatenate(tags) if "tags" in names else None,
        "source_of": np.array(texts.get("source", [0] * len(texts["id"])), np.int16),
    }
