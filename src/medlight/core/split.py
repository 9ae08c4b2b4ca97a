"""Who trains, who is tuned on, who is never looked at: splits that keep patients together."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medlight.core.errors import SplitError
from medlight.core.index import Index

SEED = 12345
"""nnU-Net's seed for its folds. Splits do not depend on the seed of a run."""
SIDES = ("train", "val", "test")


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
        sides = [sorted(side) for side in (self.train, self.val, self.test)]
        return hashlib.sha256(json.dumps(sides).encode()).hexdigest()

    def without(self, cases: Container[str]) -> "Split":
        """The same sides without these cases. SplitError where none is left to train on."""
        sides = [tuple(case for case in getattr(self, side) if case not in cases) for side in SIDES]
        if not sides[0]:
            raise SplitError(f"fold {self.fold}: every training case is left out; exclude fewer")
        return Split(self.fold, *sides)

    def as_dict(self) -> dict[str, object]:
        sides = {side: sorted(getattr(self, side)) for side in SIDES}
        return {"fold": self.fold, "hash": self.hash, "seed": SEED, **sides}

    def check(self, index: Index) -> None:
        """Refuse a patient, or a case, on two sides, and an empty training side."""
        side_of: dict[str, str] = {}
        patients = dict(zip(index.ids, index.patients, strict=True))
        for side in SIDES:
            for case in getattr(self, side):
                patient = patients[case]
                if side_of.setdefault(patient, side) != side:
                    raise SplitError(
                        f"{index.name}: the patient of case {case!r} is on two sides of the split, "
                        f"{side_of[patient]} and {side}. Scores would be flattered; mend the split "
                        f"that came with the data, or remove one side's cases"
                    )
        if not self.train:
            raise SplitError(f"{index.name}: fold {self.fold} leaves no case to train on")


def make_split(index: Index, *, fold: int | str | None, folds: int, val_fraction: float) -> Split:
    """The split of a data set.

    fold k: fold k of `folds` is tested, `val_fraction` of the other patients is tuned on.
    "all": every case trains. None: fold 0, or the split the data set came with.
    """
    own = index.column("split")
    comes_split = any(own)
    if comes_split and fold is not None:
        raise SplitError(
            f"{index.name} comes with a split of its own, so data.fold={fold} cannot be made; "
            f"leave data.fold out"
        )
    if not comes_split and str(fold or 0) != "all":
        number = _fold_number(fold or 0, folds)
        test = set(kfold(index, folds)[number])
        rest = [case for case in index.ids if case not in test]
        val = set(_validation(index, rest, val_fraction))
        name = str(number)
    elif comes_split:
        by_side = {
            side: [c for c, s in zip(index.ids, own, strict=True) if s == side] for side in SIDES
        }
        test, rest = set(by_side["test"]), by_side["train"] + by_side["val"]
        val = set(by_side["val"] or _validation(index, by_side["train"], val_fraction))
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


def kfold(index: Index, folds: int) -> list[list[str]]:
    """The case ids of each fold.

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
    if index.tags is None:
        order = np.arange(len(patients))
        np.random.RandomState(SEED).shuffle(order)
        parts = [[patients[i] for i in part] for part in np.array_split(order, folds)]
    else:
        parts = _deal(_strata(index, patients), np.full(folds, 1 / folds))
    return [_cases_of(index, part) for part in parts]


def _validation(index: Index, cases: Sequence[str], fraction: float) -> list[str]:
    """About `fraction` of these cases, whole patients, each label in its share; at least one."""
    rest = index.subset(cases)
    patients = sorted(set(rest.patients))
    if len(patients) < 2 or fraction <= 0:
        return []
    if rest.tags is None:
        order = np.random.RandomState(SEED).permutation(len(patients))
        chosen = [patients[i] for i in order[: max(1, round(fraction * len(patients)))]]
    else:
        chosen = _deal(_strata(rest, patients), np.array([1 - fraction, fraction]))[1]
        # Where every label is rarer than 1 / fraction, none of them has a patient to spare.
        chosen = chosen or [patients[np.random.RandomState(SEED).randint(len(patients))]]
    return _cases_of(rest, chosen)


def _cases_of(index: Index, patients: Iterable[str]) -> list[str]:
    wanted = set(patients)
    return [case for case, p in zip(index.ids, index.patients, strict=True) if p in wanted]


def _strata(index: Index, patients: Sequence[str]) -> dict[str, tuple[int, int]]:
    """For each patient its stratum and number of cases. The stratum is the patient's label that
    is rarest in the data set: the one that most needs to be dealt out evenly."""
    tags = index.tags
    if tags is None:
        raise ValueError("strata need tags")
    positive = tags == 1
    rarity = np.argsort(np.argsort(positive.sum(axis=0), kind="stable"), kind="stable")
    rank = np.where(positive, rarity, len(rarity)).min(axis=1)
    size = Counter(index.patients)
    stratum = dict.fromkeys(patients, len(rarity))
    for patient, r in zip(index.patients, rank, strict=True):
        stratum[patient] = min(stratum[patient], int(r))
    return {patient: (stratum[patient], size[patient]) for patient in patients}


def _deal(patients: Mapping[str, tuple[int, int]], shares: np.ndarray) -> list[list[str]]:
    """Deal patients into parts of the given shares, stratum by stratum: larger patients first,
    each to the part that lacks most of its share of the stratum, and of all cases among equals.
    Linear in the number of patients."""
    by_stratum: dict[int, list[str]] = defaultdict(list)
    names = list(patients)
    for i in np.random.RandomState(SEED).permutation(len(names)):
        by_stratum[patients[names[i]][0]].append(names[i])
    share = [float(each) for each in shares]
    parts: list[list[str]] = [[] for _ in share]
    total = [0.0] * len(share)
    for stratum in sorted(by_stratum):
        members = sorted(by_stratum[stratum], key=lambda patient: -patients[patient][1])
        held = [0.0] * len(share)
        for patient in members:
            size = patients[patient][1]
            # Plain numbers: for a handful of parts, arrays would take five times as long.
            needs = [
                ((h + 0.5 * size) / s, t / s) for h, t, s in zip(held, total, share, strict=True)
            ]
            part = needs.index(min(needs))
            held[part] += size
            total[part] += size
            parts[part].append(patient)
    return parts
