"""All there is to find, in one pass over the files; and the part that is cheap enough for every
training."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from medlight.audit.duplicates import (
    cross_subset_issue,
    duplicate_groups,
    duplicate_issues,
    subset_lookup,
)
from medlight.audit.file_scan import FileInfo, scan_files
from medlight.audit.files import file_issues, header_scan_issues, pair_issues, stray_issues
from medlight.audit.issues import Issue, exclude_list_path, shorten, sort_issues
from medlight.audit.labels import label_issues
from medlight.audit.values import value_issues
from medlight.core.file_ref import is_local
from medlight.core.index import Index
from medlight.core.split import SUBSETS, Split
from medlight.io.digests import cached_digests


def audit(
    index: Index,
    split: Split | None = None,
    *,
    full_index: Index | None = None,
    ignore: int | None = None,
    num_processes: int = 1,
) -> tuple[list[Issue], list[FileInfo]]:
    """Everything that can be found, errors first, and what each file said.

    Args:
        split: what must not share patients or images between its sides; None: not looked at.
        full_index: with the cases that are left out, whose files are no strays; None: `index`.
        ignore: label that needs no name.
        num_processes: that read files at the same time.
    """
    file_infos = scan_files(index, num_processes=num_processes)
    found = [*find_issues(index, file_infos, split, ignore), *stray_issues(full_index or index)]
    return sort_issues(found), file_infos


def find_issues(
    index: Index,
    file_infos: Sequence[FileInfo],
    split: Split | None = None,
    ignore: int | None = None,
) -> Iterator[Issue]:
    """Yield the issues of files that have been read already.

    Args:
        index: the cases.
        file_infos: what each of their files said.
        split: what must not share patients or images; None: not looked at.
        ignore: label that needs no name.
    """
    yield from pair_issues(index)
    yield from file_issues(index, file_infos)
    yield from value_issues(index, file_infos)
    yield from label_issues(index, file_infos, split, ignore)
    yield from patient_issues(index, split)
    yield from duplicate_issues(index, file_infos, split)


def pre_training_audit(
    index: Index, split: Split, cache: Path, full_index: Index | None = None
) -> list[Issue]:
    """Find what a glance finds: missing pairs, files and voxels, geometry, leakage, and images
    beside those of the cases that belong to none.

    Reads headers, and of files that may be copies across the split their contents.

    Args:
        index: the cases.
        split: of the training that is about to start.
        cache: folder where hashes of files are kept.
        full_index: with the cases that are left out; None: `index`.

    Returns:
        The issues, errors first.
    """
    found = [*pair_issues(index), *header_scan_issues(index), *patient_issues(index, split)]
    found += stray_issues(full_index or index, beside=True)
    return sort_issues([*found, *leaked_copies(index, split, cache)])


def patient_issues(index: Index, split: Split | None) -> Iterator[Issue]:
    """Patients on several sides of the split."""
    if split is None:
        return
    patient = dict(zip(index.ids, index.patients, strict=True))
    subsets: dict[str, dict[str, str]] = defaultdict(dict)
    for subset in SUBSETS:
        for case in getattr(split, subset):
            subsets[patient[case]].setdefault(subset, case)
    across = {name: cases for name, cases in subsets.items() if len(cases) > 1}
    if across:
        first = next(iter(across.values()))
        cases = tuple(
            case for s in SUBSETS for case in getattr(split, s) if patient[case] in across
        )
        yield Issue(
            "error",
            "patients across",
            f"{len(across)} patients are on several sides of the split, such as the one of "
            + shorten([f"{case} ({subset})" for subset, case in first.items()]),
            "scores would be flattered: fix the split, or leave one side's cases out by "
            f"data.exclude=<the check's directory>/{exclude_list_path('patients across')}",
            cases,
        )


def leaked_copies(index: Index, split: Split, cache: Path) -> Iterator[Issue]:
    """Copies of one file on several sides of the split, without reading what cannot be one.

    Only files whose size occurs on several sides are read, and of large ones three windows, once:
    what was found is kept in `cache`. Parts of files are not looked at.
    """
    subset = subset_lookup(index, split)
    rows_of: dict[int, list[int]] = defaultdict(list)
    paths: dict[int, Path] = {}
    for row, ref in enumerate(index.refs("image")):
        if ref is not None and not ref.part and is_local(ref.path) and subset(row):
            paths[row] = ref.path
            try:
                rows_of[os.stat(ref.path).st_size].append(row)
            except OSError:
                continue  # missing: another finding
    suspects = [r for rows in rows_of.values() if len({subset(r) for r in rows}) > 1 for r in rows]
    suspects.sort()
    roots = [source.root.absolute() for source in index.sources if is_local(source.root)]
    root = Path(os.path.commonpath(roots)) if roots else Path.cwd()
    names = [os.path.relpath(os.path.abspath(paths[row]), root) for row in suspects]
    found = cached_digests(root, names, cache, quick=True)
    same = duplicate_groups(list(zip(found, suspects, strict=True)))
    across = [group for group in same if len({subset(row) for row in group}) > 1]
    if across:
        yield cross_subset_issue(index, across, subset)
