"""Labels as nnU-Net states them, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

from medlight.core.errors import DataError, MedlightError
from medlight.datasets._dataset_json import read_labels


def test_the_names_of_regions_labels() -> None:
    labels = {"background": 0, "whole": [1, 2], "core": 2}
    content = {"labels": labels, "regions_class_order": [1, 2]}
    assert read_labels(content, Path("x")).names == ("background", "label 1", "core")
    given = ["background", "oedema", "core"]
    assert read_labels(content | {"label_names": given}, Path("x")).names == tuple(given)
    for wrong in (given[:2], "oedema"):
        with pytest.raises(MedlightError, match="label_names must be a list of 3 names"):
            read_labels(content | {"label_names": wrong}, Path("x"))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "expected labels"),
        ([], "expected labels"),
        ({"liver": 1, "kidneys": 2}, "add the background"),
        ({"background": 0, "liver": 1, "nodule": 3}, "consecutive, but 2 is missing below 3"),
        ({"background": 0, "liver": 10**15}, "consecutive, but 1 is missing below 1000"),
        ({"background": 0, "whole": [1, 4]}, "consecutive, but 2 is missing below 4"),
        ({"background": 0, "ignore": 1, "liver": 2}, "consecutive, but 1 is missing"),
        ({"background": 0, "liver": 1, "ignore": 255}, "ignore must be the highest label, 2 here"),
        ({"background": 0, "liver": 1, "ignore": [2, 3]}, "ignore must be the highest label"),
        ({"background": 0, "liver": 1, "nodule": 1}, "'liver' and 'nodule' are both label 1"),
        ({"background": 0, "liver": "one"}, "label 'liver' must be a number"),
        ({"background": 0, "liver": True}, "label 'liver' must be a number"),
        ({"background": 0, "liver": []}, "label 'liver' must be a number"),
        ({"background": 0, "liver": -1}, "label 'liver' must be a number"),
    ],
)
def test_labels_that_nnunet_refuses(labels: Any, words: str) -> None:
    with pytest.raises(MedlightError, match=words) as raised:
        read_labels({"labels": labels}, Path("dataset.json"))
    assert "\n" not in str(raised.value)


def test_the_order_of_regions_is_that_of_dataset_json_or_refused() -> None:
    labels = {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumour": 2}
    read = read_labels({"labels": labels, "regions_class_order": [1, 3, 2]}, Path("dataset.json"))
    assert list(read.regions) == ["kidney", "masses", "tumour"]
    with pytest.raises(DataError, match=r"regions_class_order is \[1, 2, 3\].*\[1, 3, 2\]"):
        read_labels({"labels": labels, "regions_class_order": [1, 2, 3]}, Path("dataset.json"))
