"""The table of a data set: columns in, the same columns out, whatever is missing where."""

import json
from pathlib import Path

import numpy as np
import pytest

from medlight.core.errors import DataError
from medlight.core.index import Index, Source
from medlight.core.labels import Labels

FINDINGS = Labels(("effusion", "mass"), "findings")


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


def test_saved_and_loaded(tmp_path: Path) -> None:
    index = made(tmp_path)
    index.save(tmp_path / "index.jsonl")
    lines = (tmp_path / "index.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines[1:]] == list(index.ids)
    loaded = Index.load(tmp_path / "index.jsonl")
    assert list(loaded) == list(index) or np.isnan(loaded[0].tags["mass"])
    assert loaded.fingerprint() == index.fingerprint()
    assert loaded.column("view") == (None, "AP", None)
    np.testing.assert_array_equal(loaded.tags, np.array([[1, np.nan], [0, -1], [0.5, 0]], "f4"))
    assert loaded[2].files == {"mask": tmp_path / "2" / "m" / "3.png"}


def test_more_lines_than_are_read_at_once(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("medlight.core.index.LINES_AT_ONCE", 2)
    index = made(tmp_path)
    index.save(tmp_path / "index.jsonl")
    assert Index.load(tmp_path / "index.jsonl").fingerprint() == index.fingerprint()


def test_an_index_without_cases(tmp_path: Path) -> None:
    index = Index.from_records(labels=FINDINGS, sources=[Source("none", tmp_path)], records=[])
    index.save(tmp_path / "index.jsonl")
    assert len(Index.load(tmp_path / "index.jsonl")) == 0


def test_paths(tmp_path: Path) -> None:
    index = made(tmp_path)
    for role in ("image", "mask"):
        expected = [case.files.get(role) for case in index]
        assert index.paths(role) == [None if path is None else str(path) for path in expected]
    assert index.paths("other") == [None, None, None]


def test_without(tmp_path: Path) -> None:
    index = made(tmp_path)
    assert index.without(()) is index
    assert index.without({"a/2"}).ids == ("a/1", "b/3")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}\n', '{"format": 7}\n', "\x00"])
def test_what_is_no_index_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"x\.jsonl: .*save it again"):
        Index.load(tmp_path / "x.jsonl")


def test_rows_that_lack_tags_are_refused() -> None:
    rows = records()
    del rows[1]["tags"]
    with pytest.raises(ValueError, match="1 of 3 records have no tags"):
        Index.from_records(labels=FINDINGS, sources=[Source("x", Path())], records=rows)
