"""What labels say: numbers nobody declared, masks of nothing, and how often each label occurs."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from medlight.audit.facts import MASK, FileFacts
from medlight.audit.findings import Finding, leave_out, some
from medlight.core.index import Index
from medlight.core.split import SIDES, Split

RARE = 0.01
"""Share of the cases below which a label is rare."""


def label_findings(
    index: Index, facts: Sequence[FileFacts], split: Split | None
) -> Iterator[Finding]:
    """Findings on masks, or on the tags of an index without any."""
    masks = [fact for fact in facts if fact.usable and fact.role == MASK]
    if index.labels.kind == "mask":
        for fact in masks:
            yield from _mask(index, fact)
        yield from _types(index, masks)
        empty = tuple(index.ids[fact.row] for fact in masks if set(fact.counts or {1: 1}) == {0})
        if empty:
            paths = [fact.path for fact in masks if set(fact.counts or {1: 1}) == {0}]
            yield Finding(
                "warning",
                "empty mask",
                f"{len(empty)} masks hold background only: {some(paths, 3)}",
                "right where there is nothing to find; if something is, "
                + leave_out(empty, "empty mask"),
                empty,
            )
        yield from _occurrence(index, masks)
    elif index.tags is not None:
        yield from _balance(index, split)


def _mask(index: Index, fact: FileFacts) -> Iterator[Finding]:
    case, last = index.ids[fact.row], len(index.labels) - 1
    if fact.fractions:
        yield Finding(
            "error",
            "fractions",
            f"{fact.path}: {fact.fractions} voxels of this mask are no whole numbers",
            "an image, or a mask resampled without nearest neighbour: make it again, or "
            + leave_out([case], "fractions"),
            (case,),
        )
        return
    if fact.counts is None:
        found = "more than a thousand different values"
    else:
        outside = [label for label in sorted(fact.counts) if not 0 <= label <= last]
        found = f"{some([str(label) for label in outside], 5)}" if outside else ""
    if found:
        yield Finding(
            "error",
            "labels",
            f"{fact.path}: the mask holds {found}, but the data set declares 0 to {last} "
            f"({', '.join(index.labels.names)})",
            f"mend the mask, declare the label, or {leave_out([case], 'labels')}",
            (case,),
        )


def _types(index: Index, masks: Sequence[FileFacts]) -> Iterator[Finding]:
    floats = [f for f in masks if f.type_name.startswith("float") and not f.fractions]
    if floats:
        cases = tuple(index.ids[fact.row] for fact in floats)
        yield Finding(
            "warning",
            "float labels",
            f"{len(floats)} of {len(masks)} masks are stored as floating point: "
            f"{some([fact.path for fact in floats], 3)}",
            "their numbers are whole, so they can be read; fix=true writes integers",
            cases,
            repairable=True,
        )
    types = Counter(fact.type_name for fact in masks)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        yield Finding(
            "warning",
            "dtype",
            f"{MASK}s are stored as different types: "
            + ", ".join(f"{name} ({n})" for name, n in types.most_common()),
            "several tools wrote them: see whether they mean the same by a label",
            tuple(index.ids[fact.row] for fact in masks if fact.type_name != usual),
        )


def _occurrence(index: Index, masks: Sequence[FileFacts]) -> Iterator[Finding]:
    known = [fact.counts for fact in masks if fact.counts is not None]
    if not known:
        return
    voxels: Counter[int] = Counter()
    for counts in known:
        voxels.update(counts)
    total = sum(voxels.values())
    lines, never = [], []
    for label, name in enumerate(index.labels.names):
        cases = sum(label in counts for counts in known)
        lines.append(f"{name} in {cases} ({100 * voxels[label] / total:.3g} % of voxels)")
        if not cases:
            never.append(name)
    yield Finding(
        "note",
        "balance",
        f"labels in {len(known)} masks: " + ", ".join(lines),
        "rare labels need a loss that sees them, such as Dice, and patches that hold them",
    )
    if never:
        yield Finding(
            "warning",
            "absent label",
            f"{', '.join(never)} occurs in no mask, though the data set declares it",
            "a wrong list of names? Labels are numbered in their order, background first",
        )


def _balance(index: Index, split: Split | None) -> Iterator[Finding]:
    assert index.tags is not None
    positive = index.tags == 1
    counts = dict(zip(index.labels.names, positive.sum(axis=0).tolist(), strict=True))
    yield Finding(
        "note",
        "balance",
        f"{len(index)} cases: " + ", ".join(f"{name} {n}" for name, n in counts.items()),
        "accuracy hides rare classes: look at each of them",
    )
    rare = [name for name, n in counts.items() if n < RARE * len(index)]
    if rare:
        yield Finding(
            "warning",
            "rare class",
            f"fewer than {RARE:.0%} of the cases have {', '.join(rare)}",
            "weight the loss, or draw them more often; their scores rest on few cases",
        )
    if split is None:
        return
    row = {case: k for k, case in enumerate(index.ids)}
    for side in SIDES:
        rows = [row[case] for case in getattr(split, side) if case in row]
        here = positive[rows].any(axis=0) if rows else np.ones(len(counts), bool)
        absent = [n for n, has in zip(counts, here.tolist(), strict=True) if not has and counts[n]]
        if absent:
            yield Finding(
                "warning",
                "absent class",
                f"no {side} case has {', '.join(absent)}",
                "choose another fold (data.fold=1), or fewer of them (data.folds=3)",
            )
