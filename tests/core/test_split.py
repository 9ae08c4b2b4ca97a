"""Splits keep patients together, deal labels fairly, and depend on the index alone."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlight.core.errors import SplitError
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.core.split import make_split

SOURCE = Source(name="drawn", root=Path("nowhere"))
CLASSES = ("a", "b", "c")


def index_of(patients: list[str], classes: list[int] | None, order: list[int]) -> Index:
    records = [
        {"id": f"case{i:04d}", "patient": patients[i], "files": {"image": f"{i}.png"}}
        | ({} if classes is None else {"tags": [float(classes[i] == k) for k in range(3)]})
        for i in order
    ]
    labels = Labels(CLASSES, "mask" if classes is None else "multiclass")
    return Index.from_records(labels=labels, sources=[SOURCE], records=records)


def folds_of(index: Index, folds: int) -> list[tuple[str, ...]]:
    """The cases that each fold tests."""
    return [make_split(index, fold=k, folds=folds, val_fraction=0).test for k in range(folds)]


@st.composite
def indices(draw: st.DrawFn) -> tuple[Index, Index]:
    """An index and the same cases listed in another order."""
    count = draw(st.integers(20, 120))
    patients = [f"p{draw(st.integers(0, 40))}" for _ in range(count)]
    classes = draw(st.none() | st.just([draw(st.integers(0, 2)) for _ in range(count)]))
    order = draw(st.permutations(range(count)))
    return index_of(patients, classes, list(range(count))), index_of(patients, classes, order)


@given(indices(), st.integers(2, 5))
def test_folds_part_the_patients_whatever_the_listing_order(
    both: tuple[Index, Index], folds: int
) -> None:
    index, shuffled = both
    if len(set(index.patients)) < folds:
        return
    parts = folds_of(index, folds)
    assert sorted(case for part in parts for case in part) == sorted(index.ids)
    patient = dict(zip(index.ids, index.patients, strict=True))
    owners = [{patient[case] for case in part} for part in parts]
    assert sum(map(len, owners)) == len(set(index.patients))
    assert [set(part) for part in folds_of(shuffled, folds)] == [set(part) for part in parts]
    splits = [make_split(i, fold=1, folds=folds, val_fraction=0.1) for i in both]
    assert splits[0].hash == splits[1].hash


def test_every_side_gets_its_share_of_every_class() -> None:
    classes = [0] * 500 + [1] * 200 + [2] * 50
    patients = [f"p{i // 2}" for i in range(750)]
    split = make_split(
        index_of(patients, classes, list(range(750))), fold=2, folds=5, val_fraction=0.1
    )
    for side, share in ((split.test, 0.2), (split.val, 0.08), (split.train, 0.72)):
        count = Counter(classes[int(case[4:])] for case in side)
        for k, total in ((0, 500), (1, 200), (2, 50)):
            assert count[k] == pytest.approx(share * total, abs=4)


def test_all_keeps_nothing_back() -> None:
    index = index_of([f"p{i}" for i in range(9)], None, list(range(9)))
    split = make_split(index, fold="all", folds=5, val_fraction=0.1)
    assert (len(split.train), split.val, split.test, split.fold) == (9, (), (), "all")


@pytest.mark.parametrize("fold", [5, -1, "x", "1.5"])
def test_a_fold_that_is_none_is_refused(fold: int | str) -> None:
    index = index_of([f"p{i}" for i in range(9)], None, list(range(9)))
    with pytest.raises(SplitError, match=r"expected 0 to 4 .*or all"):
        make_split(index, fold=fold, folds=5, val_fraction=0.1)


def test_more_folds_than_patients_are_refused() -> None:
    index = index_of(["p0", "p1", "p0"], None, [0, 1, 2])
    with pytest.raises(SplitError, match=r"5 folds of 2 patients.*data.folds"):
        make_split(index, fold=0, folds=5, val_fraction=0.1)


def test_the_hash_follows_the_sides_not_their_order() -> None:
    index = index_of([f"p{i}" for i in range(30)], None, list(range(30)))
    hashes = {make_split(index, fold=k, folds=5, val_fraction=0.1).hash for k in range(5)}
    assert len(hashes) == 5
    assert np.unique([len(h) for h in hashes]).tolist() == [64]
