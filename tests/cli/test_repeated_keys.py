"""A key that stands twice in one mapping: the last was taken, without a word."""

from pathlib import Path

import pytest

from medlight.cli.overrides import _refuse_repeated_keys
from medlight.core.errors import ConfigError, DataError
from medlight.datasets._dataset_json import read_json


@pytest.mark.parametrize(
    "value", ["{a:[1],a:[2]}", "{a: [1], 'a': [2]}", "{b:{c:1,d:2,c:3}}", '{"a":1,b:2,a :3}']
)
def test_a_key_that_stands_twice_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"(a|c) stands there twice; keep one of them"):
        _refuse_repeated_keys(f"regions={value}")


@pytest.mark.parametrize(
    "word",
    ["x={a:{c:1},b:{c:1}}", "x=[{a:1},{a:2}]", "x={a:[b,a,b]}", "x='a:a:a'", "x={a:'a:1,a:2'}",
     "input=C:/x:y", "x={a:b}}"],
)  # fmt: skip
def test_other_words_are_taken(word: str) -> None:
    assert _refuse_repeated_keys(word) is None


def test_a_label_that_stands_twice_in_dataset_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text('{"labels": {"background": 0, "a": 1, "a": 2}}')
    with pytest.raises(DataError, match=r"dataset\.json: .*'a' stands in one object twice"):
        read_json(path)
