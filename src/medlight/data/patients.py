"""Whose image a case is: what `data.patient` says, by a pattern of ids or by a table."""

import csv
import re
import unicodedata
from collections.abc import Hashable, Sequence
from pathlib import Path

from medlight.core.errors import ConfigError
from medlight.core.index import Index

COLUMNS = ("case", "patient")


def group_by_patient(index: Index, patient: str) -> Index:
    """Count cases as one patient's by a rule; those that were one patient's stay so.

    Args:
        index: the cases.
        patient: a regular expression, searched in each id, whose one group names the patient; or
            the path of a csv file with the columns case and patient.

    Returns:
        The same cases with other patients.

    Raises:
        ConfigError: the rule cannot be read, or leaves a case without a patient.
    """
    path = Path(patient).expanduser()
    names = (
        _from_table(index, path)
        if path.suffix == ".csv" or path.is_file()
        else _from_ids(index, patient)
    )
    return index.with_patients(group_ids(join_spellings(names), index.patients))


def join_spellings(names: Sequence[str]) -> list[str]:
    """Give names that differ in case, spaces or invisible characters alone the same spelling."""
    return group_ids(names, [fold_name(name) for name in names])


def fold_name(name: str) -> str:
    """What two spellings of one name share: letters of either case, spaces, what cannot be seen.

    >>> fold_name("P07\\u200b ") == fold_name("p07")
    True
    """
    shown = [c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf"]
    return " ".join("".join(shown).casefold().split())


def _from_ids(index: Index, pattern: str) -> list[str]:
    try:
        rule = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"data.patient={pattern}: no regular expression ({error})") from error
    if rule.groups != 1:
        raise ConfigError(
            f"data.patient={pattern} has {rule.groups} groups, but must have one, in parentheses, "
            f"which names the patient: data.patient='(.+)_\\d+$' if ids are like P07_2"
        )
    found = [rule.search(case) for case in index.ids]
    for case, match in zip(index.ids, found, strict=True):
        if not (match and match[1]):
            raise ConfigError(
                f"data.patient={pattern} names no patient in the id {case!r}; every id must fit, "
                f"or give a csv file with the columns {', '.join(COLUMNS)}"
            )
    return [match[1] for match in found if match]


def _from_table(index: Index, path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            rows, columns = list(table), table.fieldnames or ()
    except (OSError, UnicodeError, csv.Error) as error:
        raise ConfigError(f"data.patient={path}: cannot be read ({error})") from error
    if not rows or any(list(columns).count(name) != 1 for name in COLUMNS):
        raise ConfigError(f"data.patient={path}: expected a table with columns case and patient")
    patient_of: dict[str, str] = {}
    for row in rows:
        case, patient = ((row[column] or "").strip() for column in COLUMNS)
        if fold_name(patient_of.setdefault(case, patient)) != fold_name(patient):
            raise ConfigError(
                f"data.patient={path}: {case!r} has two patients, {patient_of[case]!r} and "
                f"{patient!r}; keep one of the lines"
            )
    missing = [case for case in index.ids if not patient_of.get(case)]
    if missing:
        raise ConfigError(
            f"data.patient={path}: {len(missing)} of {len(index)} cases have no patient in it, "
            f"such as {missing[0]!r}; add them"
        )
    return [patient_of[case] for case in index.ids]


def group_ids(units: Sequence[str], marks: Sequence[Hashable]) -> list[str]:
    """For each item the name of its group: items that share a unit or a mark are in one.

    A group is called after the first, in order, of its units.

    >>> group_ids(["a", "b", "c", "d"], [1, 2, 1, 3])
    ['a', 'b', 'a', 'd']
    """
    leader = {unit: unit for unit in units}

    def find(unit: str) -> str:
        while leader[unit] != unit:
            leader[unit] = leader[leader[unit]]
            unit = leader[unit]
        return unit

    first: dict[Hashable, str] = {}
    for unit, mark in zip(units, marks, strict=True):
        one, other = sorted((find(first.setdefault(mark, unit)), find(unit)))
        leader[other] = one
    return [find(unit) for unit in units]
