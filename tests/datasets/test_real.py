"""The real MedNIST and hippocampus, where they are: golden counts, and splits that do not leak."""

import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import KFold

from medlight.core.index import Index
from medlight.core.split import Split, make_split
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.mednist import CLASSES, MedNISTDataModule


def split(index: Index, fold: int | str | None) -> Split:
    return make_split(index, fold=fold, folds=5, val_fraction=0.1)


@pytest.fixture(scope="module")
def mednist(real_data: Path, shared_cache: Path) -> Index:
    return MedNISTDataModule(root=real_data, cache=shared_cache).cases


@pytest.fixture(scope="module")
def hippocampus(real_data: Path, shared_cache: Path) -> DecathlonDataModule:
    return DecathlonDataModule(root=real_data, cache=shared_cache)


def test_mednist_counts(mednist: Index) -> None:
    assert len(mednist) == 47_164
    assert mednist.labels.names == CLASSES
    assert mednist.tags is not None
    assert (mednist.tags.sum(axis=1) == 1).all()
    assert min(mednist.tags.sum(axis=0)) > 7_000


@pytest.mark.parametrize("fold", range(5))
def test_mednist_folds(mednist: Index, fold: int) -> None:
    made = split(mednist, fold)
    side = {case: s for s in ("train", "val", "test") for case in getattr(made, s)}
    assert len(side) == len(mednist)
    blocks, copies = defaultdict(set), defaultdict(set)
    for case in mednist:
        kind, stem = case.id.split("/")
        blocks[kind, int(stem) // 50].add(side[case.id])
        copies[hashlib.md5(case.files["image"].path.read_bytes()).digest()].add(side[case.id])
    assert all(len(sides) == 1 for sides in blocks.values())
    assert all(len(sides) == 1 for sides in copies.values())
    assert len(copies) < len(mednist)
    # The constant HeadCT picture ties 30 % of that class together: one fold gets it.
    shares = Counter(case.split("/")[0] for case in made.test)
    for kind in CLASSES:
        whole = sum(case.startswith(kind) for case in mednist.ids)
        assert 0.16 < shares[kind] / whole < (0.31 if kind == "HeadCT" else 0.22)
    assert 0.09 < len(made.val) / (len(made.val) + len(made.train)) < 0.11


def test_mednist_split_does_not_depend_on_the_listing(mednist: Index) -> None:
    shuffled = mednist.subset(np.random.default_rng(0).permutation(mednist.ids).tolist())
    assert split(shuffled, 2).hash == split(mednist, 2).hash


def test_hippocampus(hippocampus: DecathlonDataModule) -> None:
    assert len(hippocampus.cases) == 208
    assert hippocampus.cases.labels.names == ("background", "Anterior", "Posterior")
    assert hippocampus.modalities == ("MRI",)
    assert not hippocampus.cases.public  # a folder proves nothing, an official archive does
    hippocampus.setup()
    assert hippocampus.spec.channels == 1
    batch = next(iter(hippocampus.test_dataloader()))
    assert set(batch["mask"].unique().tolist()) == {0, 1, 2}


@pytest.mark.parametrize("fold", range(5))
def test_folds_are_those_of_nnunet(hippocampus: DecathlonDataModule, fold: int) -> None:
    ids = np.array(sorted(hippocampus.cases.ids))
    folds = list(KFold(n_splits=5, shuffle=True, random_state=12345).split(ids))
    made = split(hippocampus.cases, fold)
    assert set(made.test) == set(ids[folds[fold][1]])
    assert set(made.train) | set(made.val) == set(ids[folds[fold][0]])
    assert len(made.val) == round(0.1 * len(folds[fold][0]))


def test_fold_all(hippocampus: DecathlonDataModule) -> None:
    made = split(hippocampus.cases, "all")
    assert (len(made.train), len(made.val), len(made.test)) == (208, 0, 0)
