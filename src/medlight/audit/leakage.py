"""What a split lets through: patients, and copies, on several of its sides."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from medlight.audit.duplicates import across_sides, groups_of, sides_of
from medlight.audit.findings import Finding, list_name, some
from medlight.core.index import Index
from medlight.core.split import SIDES, Split
from medlight.io.digests import digests


def patient_findings(index: Index, split: Split | None) -> Iterator[Finding]:
    """Patients on several sides of the split."""
    if split is None:
        return
    patient = dict(zip(index.ids, index.patients, strict=True))
    sides: dict[str, dict[str, str]] = defaultdict(dict)
    for side in SIDES:
        for case in getattr(split, side):
            sides[patient[case]].setdefault(side, case)
    across = {name: cases for name, cases in sides.items() if len(cases) > 1}
    if across:
        first = next(iter(across.values()))
        cases = tuple(case for s in SIDES for case in getattr(split, s) if patient[case] in across)
        yield Finding(
            "error",
            "patients across",
            f"{len(across)} patients are on several sides of the split, such as the one of "
            + some([f"{case} ({side})" for side, case in first.items()]),
            "scores would be flattered: mend the split, or leave one side's cases out by "
            f"data.exclude=<the check's directory>/{list_name('patients across')}",
            cases,
        )


def copies_across(index: Index, split: Split, cache: Path) -> Iterator[Finding]:
    """Copies of one file on several sides of the split, without reading what cannot be one.

    Only files whose size occurs on several sides are read, and of large ones three windows, once:
    what was found is kept in `cache`.
    """
    side = sides_of(index, split)
    rows_of: dict[int, list[int]] = defaultdict(list)
    paths = index.paths("image")
    for row, path in enumerate(paths):
        if path is not None and side(row):
            try:
                rows_of[os.stat(path).st_size].append(row)
            except OSError:
                continue  # missing: another finding
    suspects = [r for rows in rows_of.values() if len({side(r) for r in rows}) > 1 for r in rows]
    suspects.sort()
    root = Path(os.path.commonpath([str(source.root.absolute()) for source in index.sources]))
    names = [os.path.relpath(os.path.abspath(str(paths[row])), root) for row in suspects]
    found = digests(root, names, cache, quick=True)
    same = groups_of(list(zip(found, suspects, strict=True)))
    across = [group for group in same if len({side(row) for row in group}) > 1]
    if across:
        yield across_sides(index, across, side)
