"""Who trains, who is tuned on, who is never looked at: splits that keep patients together."""

import hashlib
import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import SplitError
from medlight.core.index import Index

SPLIT_SEED = 12345
"""nnU-Net's seed for its folds. Splits do not depend on the seed of a run."""
SUBSETS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """Case ids of the three sides, and the name of the fold ("0".."4", "all" or "own")."""

    fold: str
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def hash(self) -> str:
        """sha256 of the three sorted sides: equal on every machine for an equal split."""
        subsets = [sorted(subset) for subset in (self.train, self.val, self.test)]
        return hashlib.sha256(json.dumps(subsets).encode()).hexdigest()

    def without(self, cases: Container[str]) -> "Split":
        """The same sides without these cases. SplitError where none is left to train on."""
        subsets = [
            tuple(case for case in getattr(self, subset) if case not in cases) for subset in SUBSETS
        ]
        if not subsets[0]:
            raise SplitError(f"fold {self.fold}: every training case is left out; exclude fewer")
        return Split(self.fold, *subsets)

    def as_dict(self) -> dict[str, object]:
        subsets = {subset: sorted(getattr(self, subset)) for subset in SUBSETS}
        return {"fold": self.fold, "hash": self.hash, "seed": SPLIT_SEED, **subsets}

    def check(self, index: Index) -> None:
        """Refuse a patient, or a case, on two sides, and an empty training side."""
        patient_of = dict(zip(index.ids, index.patients, strict=True))
        seen: dict[str, set[str]] = {}
        for subset in SUBSETS:
            patients = {patient_of[case] for case in getattr(self, subset)}
            for other, theirs in seen.items():
                for patient in sorted(patients & theirs)[:1]:
                    case = next(c for c in getattr(self, subset) if patient_of[c] == patient)
                    raise SplitError(
                        f"{index.name}: the patient of case {case!r} is on two sides of the split, "
                        f"{other} and {subset}. Scores would be flattered; fix the split "
                        f"that came with the data, or remove one side's cases"
                    )
            seen[subset] = patients
        if not self.train:
            raise SplitError(f"{index.name}: fold {self.fold} leaves no case to train on")
        self._check_classes(index)

    def _check_classes(self, index: Index) -> None:
        """Refuse to train on one class of several."""
        if index.tags is None or not index.labels.exclusive:
            return
        train = set(self.train)
        rows = [row for row, case in enumerate(index.ids) if case in train]
        learnt = np.flatnonzero((index.tags[rows] == 1).any(axis=0))
        if len(learnt) == 1 and (index.tags == 1).any(axis=0).sum() > 1:
            raise SplitError(
                f"{index.name}: fold {self.fold} would train on {index.labels.names[learnt[0]]} "
                f"alone: {len(set(index.patients))} patients are too few for the split; type "
                f"data.patient='(regular expression)' that tells them apart, or other data.folds"
            )


def make_split(
    index: Index,
    *,
    fold: int | str | None,
    folds: int,
    val_fraction: float,
    stated: Sequence[Split] = (),
) -> Split:
    """The split of a data set.

    fold k: fold k of `folds` is tested, `val_fraction` of the other patients is tuned on.
    "all": every case trains. None: fold 0, or the split the data set came with.

    `stated` are folds that the data set came with: one of them is chosen then. Where it names no
    `val`, `val_fraction` of its training patients is tuned on.
    """
    own = index.column("split")
    comes_split = any(own)
    if comes_split and fold is not None:
        raise SplitError(
            f"{index.name} comes with a split of its own, so data.fold={fold} cannot be made; "
            f"leave data.fold out"
        )
    if stated and str(fold or 0) != "all":
        number = _fold_number(fold or 0, len(stated))
        test, name = set(stated[number].test), str(number)
        val = set(stated[number].val or _validation(index, stated[number].train, val_fraction))
        rest = [case for case in index.ids if case in {*stated[number].train, *val}]
    elif not comes_split and str(fold or 0) != "all":
        number = _fold_number(fold or 0, folds)
        test = set(_cases_of(index, _folds(index, folds)[number]))
        rest = [case for case in index.ids if case not in test]
        val = set(_validation(index, rest, val_fraction))
        name = str(number)
    elif comes_split:
        by_subset = {
            subset: [c for c, s in zip(index.ids, own, strict=True) if s == subset]
            for subset in SUBSETS
        }
        test, rest = set(by_subset["test"]), by_subset["train"] + by_subset["val"]
        val = set(by_subset["val"] or _validation(index, by_subset["train"], val_fraction))
        name = "own"
    else:
        test, val, rest, name = set(), set(), list(index.ids), "all"
    split = Split(
        fold=name,
        train=tuple(case for case in rest if case not in val),
        val=tuple(case for case in index.ids if case in val),
        test=tuple(case for case in index.ids if case in test),
    )
    split.check(index)
    return split


def _fold_number(fold: int | str, folds: int) -> int:
    if str(fold).isdecimal() and int(fold) < folds:
        return int(fold)
    raise SplitError(f"data.fold={fold}: expected 0 to {folds - 1} (data.folds={folds}), or all")


def _folds(index: Index, folds: int) -> list[list[str]]:
    """The patients of each fold.

    Without tags these are nnU-Net's: scikit-learn's KFold(folds, shuffle=True,
    random_state=12345) over the sorted patients. With tags, patients are dealt to the folds so
    that each holds its share of every label.
    """
    patients = sorted(set(index.patients))
    if folds < 2 or len(patients) < folds:
        raise SplitError(
            f"{index.name}: cannot make {folds} folds of {len(patients)} patients; "
            f"set data.folds between 2 and {len(patients)}, or data.fold=all"
        )
    if index.tags is not None:
        return _stratified_parts(patients, index.patients, index.tags, [1 / folds] * folds)
    order = np.arange(len(patients))
    np.random.RandomState(SPLIT_SEED).shuffle(order)
    return [[patients[i] for i in part] for part in np.array_split(order, folds)]


def _validation(index: Index, cases: Sequence[str], fraction: float) -> list[str]:
    """About `fraction` of these cases, whole patients, each label in its share; at least one."""
    among = set(cases)
    rows = np.array([row for row, case in enumerate(index.ids) if case in among], np.int64)
    patient_of = [index.patients[row] for row in rows.tolist()]
    patients = sorted(set(patient_of))
    if len(patients) < 2 or fraction <= 0:
        return []
    if index.tags is None:
        order = np.random.RandomState(SPLIT_SEED).permutation(len(patients))
        chosen = [patients[i] for i in order[: max(1, round(fraction * len(patients)))]]
    else:
        parts = _stratified_parts(patients, patient_of, index.tags[rows], [1 - fraction, fraction])
        # Where every label is rarer than 1 / fraction, none of them has a patient to spare.
        chosen = parts[1] or [patients[np.random.RandomState(SPLIT_SEED).randint(len(patients))]]
    wanted = set(chosen)
    return [case for case in _cases_of(index, wanted) if case in among]


def _cases_of(index: Index, patients: Iterable[str]) -> list[str]:
    wanted = set(patients)
    return [case for case, p in zip(index.ids, index.patients, strict=True) if p in wanted]


def _stratified_parts(
    patients: Sequence[str],
    patient_of: Sequence[str],
    tags: NDArray[np.float32],
    shares: Sequence[float],
) -> list[list[str]]:
    """Deal patients into parts of the given shares, stratum by stratum: larger patients first,
    each to the part that lacks most of its share of the stratum, and of all cases among equals.
    Linear in the number of patients.

    The stratum of a patient is its label that is rarest in the data set: the one that most needs
    to be dealt out evenly.

    Args:
        patients: all of them, each once.
        patient_of: (N,) of each case.
        tags: (N, K).
        shares: of each part; they add up to 1.
    """
    number = {patient: k for k, patient in enumerate(patients)}
    owner = np.fromiter(map(number.__getitem__, patient_of), np.int64, len(patient_of))
    size = np.bincount(owner, minlength=len(patients))
    positive = tags == 1
    rarity = np.argsort(np.argsort(positive.sum(axis=0), kind="stable"), kind="stable")
    stratum = np.full(len(patients), len(rarity))
    np.minimum.at(stratum, owner, np.where(positive, rarity, len(rarity)).min(axis=1))
    order = np.random.RandomState(SPLIT_SEED).permutation(len(patients))
    order = order[np.lexsort((-size[order], stratum[order]))]
    parts: list[list[str]] = [[] for _ in shares]
    total, held = [0.0] * len(shares), [0.0] * len(shares)
    needs: list[tuple[float, float, int]] = []
    now = (-1, -1)
    dealt = zip(order.tolist(), stratum[order].tolist(), size[order].tolist(), strict=True)
    for patient, label, cases in dealt:
        if label != now[0]:
            held = [0.0] * len(shares)
        if (label, cases) != now:  # a heap: among patients alike, one part's need changes a turn
            now = label, cases
            needs = [
                ((h + 0.5 * cases) / s, t / s, part)
                for part, (h, t, s) in enumerate(zip(held, total, shares, strict=True))
            ]
            heapify(needs)
        part = needs[0][2]
        held[part] += cases
        total[part] += cases
        share = shares[part]
        heapreplace(needs, ((held[part] + 0.5 * cases) / share, total[part] / share, part))
        parts[part].append(patients[patient])
    return parts
