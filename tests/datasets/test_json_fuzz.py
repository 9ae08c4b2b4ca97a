"""Whatever a stranger's dataset.json holds, reading it ends with cases or one line."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medlight.core.errors import MedlightError
from medlight.data.datamodule import DataModule
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.nnunet import NNUNetDataModule

SCALARS = (None, 0, -1, 1e400, 10**30, True, "", "x", "\0", "a\tb", "../..", "$X", "\ud800")
NESTED = ([], {}, [1, [2]], {"0": None}, ["a"] * 3, {"a": {"b": 1}}, [None], {"background": 0})
JUNK: tuple[Any, ...] = (*SCALARS, *NESTED)
KEYS = ("ignore", "0", "dataset", "training", "patients", "label_names", "regions", "file_ending")


def places(content: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = content if isinstance(content, dict) else range(len(content))
    for key in keys if isinstance(content, dict | list) else ():
        yield (*where, key)
        if isinstance(content[key], dict | list):
            yield from places(content[key], (*where, key))


def spoilt(content: Any, draw: random.Random) -> Any:
    content = copy.deepcopy(content)
    for _ in range(draw.choice([1, 1, 2, 3])):
        if not (found := list(places(content))):
            break
        *path, last = draw.choice(found)
        inner = content
        for key in path:
            inner = inner[key]
        if isinstance(inner, dict) and draw.random() < 0.3:
            last = draw.choice(KEYS)
        inner[last] = copy.deepcopy(draw.choice(JUNK))
    return content


@pytest.mark.parametrize("dataset", [NNUNetDataModule, DecathlonDataModule])
@pytest.mark.parametrize("rounds", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_any_json(dataset: type[DataModule], rounds: int, tmp_path: Path) -> None:
    dataset.fake(tmp_path, cases=3)
    [folder] = tmp_path.iterdir()
    files = {path: json.loads(path.read_text()) for path in folder.glob("*.json")}
    draw, said = random.Random(0), [""]
    for _ in range(rounds):
        chosen = draw.choice(sorted(files))
        for path, content in files.items():
            text = spoilt(content, draw) if path == chosen else content
            path.write_text(json.dumps(text))
        try:
            data = dataset(root=folder, cache=tmp_path, fold="all", task=folder.name)  # type: ignore[call-arg]
            _ = (list(data.cases), data.modalities, data.ignored_label, data.scored_regions)
            _ = (data.stated_folds, data.split, data.spatial_dims, data.cases.fingerprint())
        except MedlightError as error:
            said.append(str(error))
    assert not [message for message in said if "\n" in message]
