"""The table of a data set: columns in, the same columns out, whatever is missing where."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from medlight.core.file_ref import FileRef
from medlight.core.index import Index, Source
from medlight.core.labels import Labels

FINDINGS = Labels(("effusion", "mass"), "multilabel")


def records() -> list[dict[str, object]]:
    return [
        {"id": "a/1", "patient": "p", "files": {"image": "a/1.png"}, "tags": [1, None]},
        {"id": "a/2", "patient": "p", "files": {"image": "a/2.png", "mask": "m/2.png"},
         "tags": [0, -1], "meta": {"view": "AP"}},
        {"id": "b/3", "patient": "b/3", "files": {"mask": "m/3.png"}, "tags": [0.5, 0],
         "source": 1},
    ]  # fmt: skip


def made(root: Path) -> Index:
    sources = [Source("one", root / "1"), Source("two", root / "2")]
    return Index.from_records(labels=FINDINGS, sources=sources, records=records())


def test_records_become_columns_and_cases(tmp_path: Path) -> None:
    index = made(tmp_path)
    assert index.column("view") == (None, "AP", None)
    np.testing.assert_array_equal(index.tags, np.array([[1, np.nan], [0, -1], [0.5, 0]], "f4"))
    assert index[2].files == {"mask": FileRef.of(tmp_path / "2" / "m" / "3.png")}
    assert index["a/2"].meta == {"view": "AP"}


def test_the_fingerprint_is_of_the_sorted_records(tmp_path: Path) -> None:
    """Worked out from the cases, as `json` writes them."""
    index = made(tmp_path)
    lines = []
    for case, source in zip(index, (0, 0, 1), strict=True):
        root = tmp_path / "12"[source]
        record: dict[str, object] = {
            "id": case.id,
            "patient": case.patient,
            "files": {role: str(ref.path.relative_to(root)) for role, ref in case.files.items()},
            "tags": [None if np.isnan(tag) else tag for tag in case.tags.values()],
        }
        record |= {"meta": dict(case.meta)} if case.meta else {}
        record |= {"source": source} if source else {}
        lines.append(json.dumps(record, sort_keys=True))
    head = json.dumps(
        [{"names": FINDINGS.names, "kind": FINDINGS.kind}, [["one", ""], ["two", ""]]]
    )
    text = "\n".join([head, *sorted(lines)])
    assert index.fingerprint() == hashlib.sha256(text.encode()).hexdigest()
    assert index.subset(["b/3", "a/1", "a/2"]).fingerprint() == index.fingerprint()


def test_an_index_without_cases(tmp_path: Path) -> None:
    index = Index.from_records(labels=FINDINGS, sources=[Source("none", tmp_path)], records=[])
    assert len(index) == len(list(index)) == 0


def test_refs(tmp_path: Path) -> None:
    index = made(tmp_path)
    for role in ("image", "mask"):
        assert index.refs(role) == [case.files.get(role) for case in index]
    assert index.refs("other") == [None, None, None]


def test_without(tmp_path: Path) -> None:
    index = made(tmp_path)
    assert index.without(()) is index
    assert index.without({"a/2"}).ids == ("a/1", "b/3")


def test_rows_that_lack_tags_are_refused() -> None:
    rows = records()
    del rows[1]["tags"]
    with pytest.raises(ValueError, match="1 of 3 records have no tags"):
        Index.from_records(labels=FINDINGS, sources=[Source("x", Path())], records=rows)
