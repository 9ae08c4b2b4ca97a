"""dataset.json and splits_final.json, in the forms of the Decathlon and of nnU-Net.

Specification: nnU-Net v2, documentation/dataset_format.md, region_based_training.md and
ignore_label.md.
"""

import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlight.core.errors import ConfigError, DataError, SplitError, reading
from medlight.core.labels import region_class_order
from medlight.core.split import Split
from medlight.data.datamodule import DataModule
from medlight.data.patients import join_spellings
from medlight.datasets._listing import case_id

log = logging.getLogger(__name__)
DATASET_JSON, SPLITS_JSON = "dataset.json", "splits_final.json"
IGNORE = "ignore"
_LABELS_FORM = 'expected labels {"background": 0, "liver": 1}'


def read_json(path: Path) -> Any:
    """Read a file.

    Raises:
        DataError: it cannot be read, or is not JSON.
    """
    with reading(path, "mend it, or copy it again"):
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
        json.dumps(content, ensure_ascii=False).encode()  # half a character has no encoding
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """ValueError for a key that stands in an object twice, of which Python keeps the last."""
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice!r} stands in one object twice")
    return content


def read_dataset_json(folder: Path) -> dict[str, Any]:
    """Read the dataset.json of a folder; empty where there is none.

    Raises:
        DataError: it cannot be read, or is no object.
    """
    path = folder / DATASET_JSON
    content = read_json(path) if path.is_file() else {}
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object with labels, got {type(content).__name__}")
    return content


def read_numbered(names: Any, key: str, path: Path) -> tuple[str, ...]:
    """Read names that are keyed "0", "1", ...

    Raises:
        DataError: they are not, or two labels have one name.
    """
    if not isinstance(names, dict) or set(names) != {str(k) for k in range(len(names))}:
        raise DataError(f'{path}: expected {key} {{"0": ..., "1": ...}}, got {names}')
    told = tuple(str(names[str(k)]) for k in range(len(names)))
    if key == "labels" and len({*told}) < len(told):
        raise DataError(f"{path}: two labels have the same name, of {', '.join(told)}")
    return told


@dataclass(frozen=True, slots=True)
class NamedNumbers:
    """What the numbers of masks mean.

    Attributes:
        names: of labels 0, 1, ...; the first is the background.
        regions: name to labels, where any holds several; else empty.
        ignore: label without a name that is neither learnt nor scored.
    """

    names: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]]
    ignore: int | None


def read_labels(content: Mapping[str, Any], path: Path) -> NamedNumbers:
    """Read labels as nnU-Net states them: name to number, or to the numbers of a region; of version
    1, number to name. Where they are regions, an entry `label_names` of ours names the numbers.

    Args:
        content: of dataset.json.
        path: of the file, for messages.

    Raises:
        DataError: they have another form, no background, or numbers that are not consecutive.
    """
    stated, given = content.get("labels"), content.get("label_names")
    if not isinstance(stated, dict) or not stated:
        raise DataError(f"{path}: {_LABELS_FORM}, got {stated}")
    if all(str(key).isdecimal() for key in stated):
        stated = {str(name): int(number) for number, name in stated.items()}
    numbers = {name: _numbers(name, value, path) for name, value in stated.items()}
    ignored = numbers.pop(IGNORE, None)
    several = "regions_class_order" in content or any(len(n) > 1 for n in numbers.values())
    names: dict[int, str] = {}
    for name, those in numbers.items():
        if len(those) == 1 and names.setdefault(those[0], name) != name and not several:
            raise DataError(f"{path}: {names[those[0]]!r} and {name!r} are both label {those[0]}")
    if 0 not in names:
        raise DataError(f"{path}: no label is 0; add the background: {_LABELS_FORM}")
    known = sorted({number for those in numbers.values() for number in those})
    missing = next((k for k, number in enumerate(known) if k != number), None)
    if missing is not None:
        raise DataError(
            f"{path}: labels must be consecutive, but {missing} is missing below {known[-1]}; "
            f"number them 0 to {len(known) - 1}, in the masks as well"
        )
    if ignored is not None and ignored != (len(known),):
        raise DataError(
            f"{path}: ignore must be the highest label, {len(known)} here, but is "
            f"{', '.join(map(str, ignored))}; renumber it, in the masks as well"
        )
    if given is not None and (not isinstance(given, list) or len(given) != len(known)):
        raise DataError(f"{path}: label_names must be a list of {len(known)} names, got {given}")
    regions = {name: those for name, those in numbers.items() if those != (0,)} if several else {}
    _check_class_order(content.get("regions_class_order"), regions, path)
    return NamedNumbers(
        names=tuple(
            str(given[number]) if given else names.get(number, f"label {number}")
            for number in known
        ),
        regions=regions,
        ignore=None if ignored is None else ignored[0],
    )


def _check_class_order(stated: Any, regions: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """DataError where regions would be painted with other labels than dataset.json says."""
    try:
        painted = region_class_order(regions)
    except ConfigError:  # they cannot be learnt as regions, only scored
        return
    if stated is not None and stated != list(painted):
        raise DataError(
            f"{path}: regions_class_order is {stated}, but here a region is painted with the "
            f"smallest of its labels that no later one holds, {list(painted)}; order the regions "
            f"so that both are the same, or leave the line out"
        )


def read_extras(content: Mapping[str, Any], path: Path) -> NamedNumbers:
    """Read the entries `regions` and `ignore`, which `medlight dataset export` adds to the
    Decathlon's form. They name no labels.

    Raises:
        DataError: they have another form.
    """
    stated, ignored = content.get("regions", {}), content.get(IGNORE)
    if not isinstance(stated, dict):
        raise DataError(f'{path}: expected regions {{"whole": [1, 2]}}, got {stated}')
    regions = {str(name): _numbers(str(name), those, path) for name, those in stated.items()}
    return NamedNumbers(
        (), regions, None if ignored is None else _numbers(IGNORE, ignored, path)[0]
    )


def _numbers(name: str, value: Any, path: Path) -> tuple[int, ...]:
    """The labels of an entry, each once."""
    several = value if isinstance(value, list) else [value]
    if not several or not all(type(number) is int and number >= 0 for number in several):
        raise DataError(
            f"{path}: label {name!r} must be a number or a list of numbers, got {value}"
        )
    return tuple(dict.fromkeys(several))


def read_patients(content: Mapping[str, Any], path: Path) -> Mapping[str, str]:
    """Read whose image a case is, where it is not its own patient: the entry `patients`, which
    `medlight dataset export` writes.

    Raises:
        DataError: it is no object of words.
    """
    stated = content.get("patients", {})
    if not isinstance(stated, dict) or not all(isinstance(p, str) for p in stated.values()):
        raise DataError(f'{path}: expected patients {{"<case>": "<patient>"}}, got {stated}')
    return dict(zip(stated, join_spellings([*stated.values()]), strict=True))


def warn_of_lost_cases(content: Mapping[str, Any], folder: Path, found: int) -> None:
    """Say if there are more or fewer cases than dataset.json counts."""
    said = content.get("numTraining")
    if isinstance(said, int) and said != found:
        log.warning(
            "%s says numTraining %d, but there are %d training cases; is the copy complete?",
            folder / DATASET_JSON,
            said,
            found,
        )


def find_folds(places: Sequence[Path], cases: Sequence[str], *, folds: int) -> tuple[Split, ...]:
    """Read splits_final.json from the first folder that has one; empty where none has.

    Args:
        places: the folders.
        cases: ids of all that are there.
        folds: how many were asked for.

    Raises:
        SplitError: other folds were asked for, or a case is not there.
        DataError: the file has another form.
    """
    found = [place / SPLITS_JSON for place in places if (place / SPLITS_JSON).is_file()]
    if not found:
        return ()
    stated = read_folds(found[0], set(cases))
    if folds not in (DataModule.folds, len(stated)):
        raise SplitError(
            f"data.folds={folds}, but {found[0]} names {len(stated)}; leave data.folds out, or "
            f"move the file away to deal folds anew"
        )
    log.info("Folds: the %d of %s", len(stated), found[0])
    named = {case for fold in stated for case in (*fold.train, *fold.val, *fold.test)}
    if left := sorted(set(cases) - named):
        log.warning("%d cases are in none of these folds: %s, ...", len(left), left[0])
    return stated


def read_folds(path: Path, cases: Collection[str]) -> tuple[Split, ...]:
    """Read the folds of nnU-Net's splits_final.json. What it calls `val` is not trained on, and is
    tested here; where a fold names a `test` as well, `val` is what it says.

    Args:
        path: of the file.
        cases: ids of all that are there.

    Raises:
        DataError: the file has another form.
        SplitError: it names a case that is not there.
    """
    content = read_json(path)
    form = '[{"train": ["<case>", ...], "val": ["<case>", ...]}, ...]'
    if not isinstance(content, list) or not content:
        raise DataError(f"{path}: expected {form}")
    folds = []
    for number, fold in enumerate(content):
        sides = {side: _cases(fold, side) for side in ("train", "val", "test")}
        if sides["train"] is None or sides["val"] is None:
            raise DataError(f"{path}: fold {number} lacks a list train or val; expected {form}")
        unknown = [case for side in sides.values() for case in side or () if case not in cases]
        if unknown:
            raise SplitError(
                f"{path}: fold {number} names {unknown[0]!r}, of which there is no image; mend the "
                f"name, or move the file away to deal folds anew"
            )
        tested, tuned = sides["val"], sides["test"]
        if tuned is not None:
            tested, tuned = tuned, tested
        folds.append(Split(str(number), sides["train"], tuned or (), tested))
    return tuple(folds)


def _cases(fold: Any, side: str) -> tuple[str, ...] | None:
    names: Sequence[Any] | None = fold.get(side) if isinstance(fold, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(case_id(name) for name in names)
