"""The same image twice: byte by byte, and by its looks."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from medlight.audit.facts import MASK, FileFacts
from medlight.audit.findings import Finding, leave_out, list_name, some
from medlight.audit.likeness import BITS
from medlight.core.index import Index
from medlight.core.manifest import labels_of
from medlight.core.split import SIDES, Split

ALIKE = 0.998
"""Correlation of two thumbnails from which images are near-duplicates."""
NEAR_BITS = 10
"""Bits in which their hashes may differ."""
NEIGHBOURS = 16
TURNS = 8

Groups = list[tuple[int, ...]]


def duplicate_findings(
    index: Index, facts: Sequence[FileFacts], split: Split | None
) -> Iterator[Finding]:
    """Findings on images with the same bytes, and on those that look the same."""
    images = [fact for fact in facts if fact.usable and fact.role != MASK]
    same = groups_of([(fact.sha256, fact.row) for fact in images])
    side = sides_of(index, split)
    yield from _exact(index, same, side)
    copy_of = {row: rows[0] for rows in same for row in rows}
    hashed = [f for f in images if f.likeness is not None and copy_of.get(f.row, f.row) == f.row]
    pairs = [(hashed[a].row, hashed[b].row) for a, b in near_pairs(hashed)]
    pairs = [(a, b) for a, b in pairs if a != b and index.patients[a] != index.patients[b]]
    yield from _near(index, pairs, side)


def groups_of(marked: Sequence[tuple[str, int]]) -> Groups:
    """Rows that share a mark, in order; only where there are several."""
    rows: dict[str, dict[int, None]] = defaultdict(dict)
    for mark, row in marked:
        rows[mark][row] = None
    return [tuple(group) for group in rows.values() if len(group) > 1]


def sides_of(index: Index, split: Split | None) -> Callable[[int], str]:
    """Row to the name of its side; "" where there is no split."""
    side = {case: s for s in SIDES for case in getattr(split, s)} if split else {}
    return lambda row: side.get(index.ids[row], "")


def _exact(index: Index, same: Groups, side: Callable[[int], str]) -> Iterator[Finding]:
    across = [group for group in same if len({side(row) for row in group}) > 1]
    within = [group for group in same if len({side(row) for row in group}) == 1]
    if across:
        yield across_sides(index, across, side)
    if within:
        surplus = sum(map(len, within)) - len(within)
        yield Finding(
            "warning",
            "duplicates",
            f"{surplus} surplus copies of the same bytes in {len(within)} groups, such as "
            f"{some(_names(index, within[0]))}",
            "they weigh more than others; all but one of each are left out by "
            f"data.exclude=<the check's directory>/{list_name('duplicates')}",
            tuple(index.ids[row] for group in within for row in group),
            tuple(_names(index, group) for group in within),
        )
    if index.tags is None:
        return
    says = labels_of(index)
    contrary = [group for group in same if len({says[row] for row in group}) > 1]
    if contrary:
        first = contrary[0]
        yield Finding(
            "error",
            "contradiction",
            f"{len(contrary)} images occur twice with different labels, such as "
            + some([f"{index.ids[row]} ({says[row]})" for row in first]),
            "find out which is right, and leave the others out by data.exclude=[...]",
            tuple(index.ids[row] for group in contrary for row in group),
            tuple(_names(index, group) for group in contrary),
        )


def across_sides(index: Index, groups: Groups, side: Callable[[int], str]) -> Finding:
    """The finding of copies on several sides of a split: scores would be flattered."""
    shown = some([f"{index.ids[row]} ({side(row)})" for row in groups[0]])
    return Finding(
        "error",
        "duplicates across",
        f"{len(groups)} images lie on several sides of the split, byte by byte: {shown}",
        "scores would be flattered: give copies one patient, or leave all but one of each out, "
        + leave_out([index.ids[row] for group in groups for row in group[1:]], "duplicates across"),
        tuple(index.ids[row] for group in groups for row in group),
        tuple(_names(index, group) for group in groups),
    )


def _near(
    index: Index, pairs: Sequence[tuple[int, int]], side: Callable[[int], str]
) -> Iterator[Finding]:
    across = {(a, b): None for a, b in pairs if side(a) != side(b)}
    for level, chosen, where in (
        ("warning", list(across), " on different sides of the split"),
        ("note", [pair for pair in pairs if pair not in across], ""),
    ):
        if chosen:
            rows = sorted({row for pair in chosen for row in pair})
            yield Finding(
                level,  # type: ignore[arg-type]
                "look-alikes across" if where else "look-alikes",
                f"{len(chosen)} pairs of images of different patients look the same{where}, such "
                f"as {' and '.join(_names(index, chosen[0]))}",
                "neighbouring slices, re-encoded copies or one patient under two names: look at "
                "them in the page",
                tuple(index.ids[row] for row in rows),
                tuple(_names(index, pair) for pair in chosen),
            )


def _names(index: Index, rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(index.ids[row] for row in rows)


def near_pairs(facts: Sequence[FileFacts]) -> list[tuple[int, int]]:
    """Pairs of positions whose hashes are near and whose thumbnails are alike.

    Hashes are sorted eight times, each time turned by eight bits more, and each is compared with
    its next neighbours: linear but for the sorting, and a pair is missed only where seven turns
    find more than sixteen others in between.
    """
    pairs: set[tuple[int, int]] = set()
    for dims in (2, 3):
        places = [k for k, f in enumerate(facts) if f.grid is not None and f.grid.ndim == dims]
        if len(places) < 2:
            continue
        hashes = np.array([facts[k].likeness for k in places], dtype=np.uint64)
        small = np.frombuffer(b"".join(facts[k].thumbnail for k in places), np.int8)
        small = small.reshape(len(places), -1)
        for a, b in _candidates(hashes):
            alike = _correlation(small, a, b) >= ALIKE
            found = zip(a[alike].tolist(), b[alike].tolist(), strict=True)
            pairs |= {(places[min(p)], places[max(p)]) for p in found}
    return sorted(pairs)


Rows = NDArray[np.intp]


def _candidates(hashes: NDArray[np.uint64]) -> Iterator[tuple[Rows, Rows]]:
    for turn in range(0, BITS, BITS // TURNS):
        turned = hashes
        if turn:
            turned = (hashes << np.uint64(turn)) | (hashes >> np.uint64(BITS - turn))
        order = np.argsort(turned, kind="stable")
        for step in range(1, min(NEIGHBOURS, len(hashes) - 1) + 1):
            a, b = order[:-step], order[step:]
            near = _bits(hashes[a] ^ hashes[b]) <= NEAR_BITS
            yield a[near], b[near]


_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def _bits(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many bits of each word are set; NumPy 1 has no function for it."""
    counts: NDArray[np.int64] = _ONES[words.view(np.uint8).reshape(-1, 8)].sum(axis=1)
    return counts


def _correlation(small: NDArray[np.int8], a: Rows, b: Rows) -> NDArray[np.float32]:
    out = np.empty(len(a), np.float32)
    for start in range(0, len(a), 1 << 14):
        part = slice(start, start + (1 << 14))
        one, other = small[a[part]].astype(np.float32), small[b[part]].astype(np.float32)
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        out[part] = (one * other).sum(axis=1) / np.maximum(lengths, 1e-6)
    return out
