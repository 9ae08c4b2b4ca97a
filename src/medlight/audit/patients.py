"""Whether ids look like several images of one patient each, and patients like several."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np

from medlight.audit.issues import Issue, shorten
from medlight.core.index import Index

MAX_NUMBER = 30
"""Ids with larger numbers count something else than the images of a patient."""
MIN_PATIENTS = 3
_BIDS = r"(sub-[^_/]+)[_/]"
_NUMBERS = tuple(rf"(.+){separator}\D*\d+$" for separator in ("_", "-", r"\."))
_JOINED = r"(.+\d)\d\d$"
"""Patterns of an id whose group may be a patient: sub-01_ses-2, P07_2, genius_0801."""


def patient_name_issues(index: Index, patient: str | None) -> Iterator[Issue]:
    """Yield what speaks against the patients of an index.

    Args:
        index: the cases.
        patient: what `data.patient` says; None: nothing.
    """
    if patient is None:
        yield from _repeated_patients(index)
    else:
        yield from _patients_in_several_classes(index)


def _repeated_patients(index: Index) -> Iterator[Issue]:
    """Ids of a common stem and a small number, each of which counts as a patient of its own."""
    for pattern in (_BIDS, *_NUMBERS, _JOINED):
        groups = _groups(index.ids, pattern)
        if 2 * sum(map(len, groups)) < len(index) or not _looks_repeated(index, groups, pattern):
            continue
        parts = [group for group in groups if len({index.patients[row] for row in group}) > 1]
        if not parts:
            return
        yield Issue(
            "warning",
            "repeated patients",
            f"{len(parts)} patients seem to have several images each, such as "
            f"{shorten([index.ids[row] for row in parts[0]])}, which count as patients of their "
            f"own: a split may train and test on the same patient, unless you type "
            f"data.patient='{pattern}'",
            "or data.patient=<a csv file with the columns case and patient>",
            tuple(index.ids[row] for group in parts for row in group),
        )
        return


def _groups(ids: Sequence[str], pattern: str) -> list[list[int]]:
    """The rows of ids that share a stem, where several do."""
    rule, found = re.compile(pattern), dict[str, list[int]]()
    look = rule.search if pattern == _BIDS else rule.match
    for row, case in enumerate(ids):
        if match := look(case):
            found.setdefault(match[1], []).append(row)
    return [rows for rows in found.values() if len(rows) > 1]


def _looks_repeated(index: Index, groups: Sequence[Sequence[int]], pattern: str) -> bool:
    """Several stems a folder, most of them with a few small numbers; where no mark divides number
    from stem, with numbers that begin at 0 or 1 and leave no gap."""
    if pattern == _BIDS:
        return True
    folders = {str(PurePosixPath(index.ids[group[0]]).parent) for group in groups}
    if len(groups) < max(MIN_PATIENTS, 2 * len(folders)):
        return False
    digits = 2 if pattern == _JOINED else 0
    few = 0
    for group in groups:
        numbers = sorted(int(re.findall(r"\d+$", index.ids[row])[0][-digits:]) for row in group)
        counts = [list(range(first, first + len(numbers))) for first in (0, 1)]
        few += numbers[-1] <= MAX_NUMBER and (not digits or numbers in counts)
    return few > 0.8 * len(groups)


def _patients_in_several_classes(index: Index) -> Iterator[Issue]:
    """Numbers that begin anew in the folder of each class are no patients."""
    if index.tags is None or not index.labels.exclusive:
        return
    classes: dict[str, dict[int, str]] = {}
    labels = np.where((index.tags == 1).any(axis=1), (index.tags == 1).argmax(axis=1), -1)
    for case, patient, label in zip(index.ids, index.patients, labels.tolist(), strict=True):
        classes.setdefault(patient, {}).setdefault(label, case)
    across = {name: of for name, of in classes.items() if len(of) > 1}
    if across:
        name, first = next(iter(across.items()))
        yield Issue(
            "warning",
            "patients in classes",
            f"data.patient counts images of several classes as one patient's in {len(across)} of "
            f"{len(classes)} patients, such as {name}: {shorten(list(first.values()))}",
            "if numbers begin anew in each class, let the group of data.patient hold the folder: "
            "data.patient='(.+)_'",
            tuple(case for of in across.values() for case in of.values()),
        )
