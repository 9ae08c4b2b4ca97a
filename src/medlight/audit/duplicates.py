"""The same image twice: byte by byte, and by its looks."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from medlight.audit.file_scan import HASH_BITS, FileInfo
from medlight.audit.issues import Issue, exclude_hint, exclude_list_path, shorten
from medlight.core.case import is_mask_role
from medlight.core.index import Index
from medlight.core.manifest import label_texts
from medlight.core.split import SUBSETS, Split

MIN_CORRELATION = 0.998
"""Correlation of two thumbnails from which images are near-duplicates."""
MAX_HAMMING_DISTANCE = 10
"""Bits in which their hashes may differ."""
N_NEIGHBOURS = 16
N_ROTATIONS = 8

Groups = list[tuple[int, ...]]


def duplicate_issues(
    index: Index, file_infos: Sequence[FileInfo], split: Split | None
) -> Iterator[Issue]:
    """Findings on images with the same bytes, and on those that look the same."""
    images = [info for info in file_infos if info.readable and not is_mask_role(info.role)]
    same = duplicate_groups([(info.sha256, info.row) for info in images])
    subset = subset_lookup(index, split)
    yield from _exact_duplicates(index, same, subset)
    copy_of = {row: rows[0] for rows in same for row in rows}
    hashed = [
        f for f in images if f.perceptual_hash is not None and copy_of.get(f.row, f.row) == f.row
    ]
    pairs = [(hashed[a].row, hashed[b].row) for a, b in near_duplicate_pairs(hashed)]
    pairs = [(a, b) for a, b in pairs if a != b and index.patients[a] != index.patients[b]]
    yield from _near_duplicates(index, pairs, subset)


def duplicate_groups(marked: Sequence[tuple[str, int]]) -> Groups:
    """Rows that share a mark, in order; only where there are several."""
    rows: dict[str, dict[int, None]] = defaultdict(dict)
    for mark, row in marked:
        rows[mark][row] = None
    return [tuple(group) for group in rows.values() if len(group) > 1]


def subset_lookup(index: Index, split: Split | None) -> Callable[[int], str]:
    """Row to the name of its side; "" where there is no split."""
    subset = {case: s for s in SUBSETS for case in getattr(split, s)} if split else {}
    return lambda row: subset.get(index.ids[row], "")


def _exact_duplicates(index: Index, same: Groups, subset: Callable[[int], str]) -> Iterator[Issue]:
    across = [group for group in same if len({subset(row) for row in group}) > 1]
    within = [group for group in same if len({subset(row) for row in group}) == 1]
    if across:
        yield cross_subset_issue(index, across, subset)
    if within:
        surplus = sum(map(len, within)) - len(within)
        yield Issue(
            "warning",
            "duplicates",
            f"{surplus} surplus copies of the same bytes in {len(within)} groups, such as "
            f"{shorten(_names(index, within[0]))}",
            "they weigh more than others; all but one of each are left out by "
            f"data.exclude=<the check's directory>/{exclude_list_path('duplicates')}",
            tuple(index.ids[row] for group in within for row in group),
            tuple(_names(index, group) for group in within),
        )
    if index.tags is None:
        return
    says = label_texts(index)
    contrary = [group for group in same if len({says[row] for row in group}) > 1]
    if contrary:
        first = contrary[0]
        yield Issue(
            "error",
            "contradiction",
            f"{len(contrary)} images occur twice with different labels, such as "
            + shorten([f"{index.ids[row]} ({says[row]})" for row in first]),
            "find out which is right, and leave the others out by data.exclude=[...]",
            tuple(index.ids[row] for group in contrary for row in group),
            tuple(_names(index, group) for group in contrary),
        )


def cross_subset_issue(index: Index, groups: Groups, subset: Callable[[int], str]) -> Issue:
    """The finding of copies on several sides of a split: scores would be flattered."""
    shown = shorten([f"{index.ids[row]} ({subset(row)})" for row in groups[0]])
    return Issue(
        "error",
        "duplicates across",
        f"{len(groups)} images lie on several sides of the split, byte by byte: {shown}",
        "scores would be flattered: give copies one patient, or leave all but one of each out, "
        + exclude_hint(
            [index.ids[row] for group in groups for row in group[1:]], "duplicates across"
        ),
        tuple(index.ids[row] for group in groups for row in group),
        tuple(_names(index, group) for group in groups),
    )


def _near_duplicates(
    index: Index, pairs: Sequence[tuple[int, int]], subset: Callable[[int], str]
) -> Iterator[Issue]:
    across = {(a, b): None for a, b in pairs if subset(a) != subset(b)}
    for level, chosen, where in (
        ("warning", list(across), " on different sides of the split"),
        ("note", [pair for pair in pairs if pair not in across], ""),
    ):
        if chosen:
            rows = sorted({row for pair in chosen for row in pair})
            yield Issue(
                level,  # type: ignore[arg-type]
                "near-duplicates across" if where else "near-duplicates",
                f"{len(chosen)} pairs of images of different patients look the same{where}, such "
                f"as {' and '.join(_names(index, chosen[0]))}",
                "neighbouring slices, re-encoded copies or one patient under two names: look at "
                "them in the page",
                tuple(index.ids[row] for row in rows),
                tuple(_names(index, pair) for pair in chosen),
            )


def _names(index: Index, rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(index.ids[row] for row in rows)


def near_duplicate_pairs(file_infos: Sequence[FileInfo]) -> list[tuple[int, int]]:
    """Find pairs whose hashes are near and whose thumbnails are alike.

    Hashes are sorted eight times, each time turned by eight bits more, and each is compared with
    its next neighbours: linear but for the sorting, and a pair is missed only where seven turns
    find more than sixteen others in between.

    Args:
        file_infos: of images, each with its hash and thumbnail.

    Returns:
        Pairs of positions in `file_infos`, sorted.
    """
    pairs: set[tuple[int, int]] = set()
    for dims in (2, 3):
        places = [k for k, f in enumerate(file_infos) if f.grid is not None and f.grid.ndim == dims]
        if len(places) < 2:
            continue
        hashes = np.array([file_infos[k].perceptual_hash for k in places], dtype=np.uint64)
        thumb = np.frombuffer(b"".join(file_infos[k].thumbnail for k in places), np.int8)
        thumb = thumb.reshape(len(places), -1)
        for a, b in _candidates(hashes):
            alike = _correlation(thumb, a, b) >= MIN_CORRELATION
            found = zip(a[alike].tolist(), b[alike].tolist(), strict=True)
            pairs |= {(places[min(p)], places[max(p)]) for p in found}
    return sorted(pairs)


RowIndices = NDArray[np.intp]


def _candidates(hashes: NDArray[np.uint64]) -> Iterator[tuple[RowIndices, RowIndices]]:
    for turn in range(0, HASH_BITS, HASH_BITS // N_ROTATIONS):
        turned = hashes
        if turn:
            turned = (hashes << np.uint64(turn)) | (hashes >> np.uint64(HASH_BITS - turn))
        order = np.argsort(turned, kind="stable")
        for step in range(1, min(N_NEIGHBOURS, len(hashes) - 1) + 1):
            a, b = order[:-step], order[step:]
            near = _popcount(hashes[a] ^ hashes[b]) <= MAX_HAMMING_DISTANCE
            yield a[near], b[near]


_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def _popcount(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many bits of each word are set; NumPy 1 has no function for it."""
    counts: NDArray[np.int64] = _ONES[words.view(np.uint8).reshape(-1, 8)].sum(axis=1)
    return counts


def _correlation(thumb: NDArray[np.int8], a: RowIndices, b: RowIndices) -> NDArray[np.float32]:
    out = np.empty(len(a), np.float32)
    for start in range(0, len(a), 1 << 14):
        part = slice(start, start + (1 << 14))
        one, other = thumb[a[part]].astype(np.float32), thumb[b[part]].astype(np.float32)
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        out[part] = (one * other).sum(axis=1) / np.maximum(lengths, 1e-6)
    return out
