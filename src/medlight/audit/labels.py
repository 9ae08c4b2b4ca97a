"""What labels say: numbers nobody declared, masks of nothing, and how often each label occurs."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from medlight.audit.file_scan import FileInfo
from medlight.audit.issues import Issue, exclude_hint, shorten
from medlight.audit.values import dtype_issues
from medlight.core.case import is_mask_role
from medlight.core.index import Index
from medlight.core.split import SUBSETS, Split

RARE_FRACTION = 0.01
"""Share of the cases below which a label is rare."""


def label_issues(
    index: Index, file_infos: Sequence[FileInfo], split: Split | None, ignore: int | None = None
) -> Iterator[Issue]:
    """Findings on masks, or on the tags of an index without any."""
    masks = [info for info in file_infos if info.readable and is_mask_role(info.role)]
    if index.labels.per_voxel:
        for info in masks:
            yield from _mask(index, info, ignore)
        yield from _types(index, masks)
        empty = [info for info in masks if set(info.label_counts or {1: 1}) == {0}]
        if empty:
            cases = tuple(index.ids[info.row] for info in empty)
            yield Issue(
                "warning",
                "empty mask",
                f"{len(empty)} masks hold background only: "
                + shorten([info.path for info in empty], 3),
                "right where there is nothing to find; if something is, "
                + exclude_hint(cases, "empty mask"),
                cases,
            )
        yield from _occurrence(index, masks)
    elif index.tags is not None and index.labels.numeric:
        yield from _ranges(index)
    elif index.tags is not None:
        yield from _balance(index, split)


def _mask(index: Index, info: FileInfo, ignore: int | None) -> Iterator[Issue]:
    case, last = index.ids[info.row], len(index.labels) - 1
    if info.n_fractional:
        yield Issue(
            "error",
            "fractions",
            f"{info.path}: {info.n_fractional} voxels of this mask are no whole numbers",
            "an image, or a mask resampled without nearest neighbour: make it again, or "
            + exclude_hint([case], "fractions"),
            (case,),
        )
        return
    if info.label_counts is None:
        found = "more than a thousand different values"
    else:
        known = {*range(last + 1), ignore}
        outside = [label for label in sorted(info.label_counts) if label not in known]
        found = f"{shorten([str(label) for label in outside], 5)}" if outside else ""
    if found:
        yield Issue(
            "error",
            "labels",
            f"{info.path}: the mask holds {found}, but the data set declares 0 to {last} "
            f"({', '.join(index.labels.names)})",
            f"fix the mask, declare the label, leave its voxels out of training by "
            f"data.ignore=<number>, or {exclude_hint([case], 'labels')}",
            (case,),
        )


def _types(index: Index, masks: Sequence[FileInfo]) -> Iterator[Issue]:
    floats = [f for f in masks if f.dtype_name.startswith("float") and not f.n_fractional]
    if floats:
        cases = tuple(index.ids[info.row] for info in floats)
        yield Issue(
            "warning",
            "float labels",
            f"{len(floats)} of {len(masks)} masks are stored as floating point: "
            f"{shorten([info.path for info in floats], 3)}",
            "their numbers are whole, so they can be read; fix=true writes integers",
            cases,
            repairable=True,
        )
    yield from dtype_issues(
        index, masks, "several tools wrote them: see whether they mean the same by a label"
    )


def _occurrence(index: Index, masks: Sequence[FileInfo]) -> Iterator[Issue]:
    known = [info.label_counts for info in masks if info.label_counts is not None]
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
    yield Issue(
        "note",
        "balance",
        f"labels in {len(known)} masks: " + ", ".join(lines),
        "rare labels need a loss that sees them, such as Dice, and patches that hold them",
    )
    if never:
        yield Issue(
            "warning",
            "absent label",
            f"{', '.join(never)} occurs in no mask, though the data set declares it",
            "a wrong list of names? Labels are numbered in their order, background first",
        )


def _ranges(index: Index) -> Iterator[Issue]:
    assert index.tags is not None
    columns = zip(index.labels.names, index.tags.T, strict=True)
    known = [(name, values[~np.isnan(values)]) for name, values in columns]
    yield Issue(
        "note",
        "balance",
        f"{len(index)} cases: "
        + ", ".join(
            f"{name} from {v.min():.4g} to {v.max():.4g} in {len(v)}" if len(v) else f"no {name}"
            for name, v in known
        ),
        "an error counts alike everywhere in this range, unless the loss says otherwise",
    )


def _balance(index: Index, split: Split | None) -> Iterator[Issue]:
    assert index.tags is not None
    positive = index.tags == 1
    counts = dict(zip(index.labels.names, positive.sum(axis=0).tolist(), strict=True))
    yield Issue(
        "note",
        "balance",
        f"{len(index)} cases: " + ", ".join(f"{name} {n}" for name, n in counts.items()),
        "accuracy hides rare classes: look at each of them",
    )
    rare = [name for name, n in counts.items() if n < RARE_FRACTION * len(index)]
    if rare:
        yield Issue(
            "warning",
            "rare class",
            f"fewer than {RARE_FRACTION:.0%} of the cases have {', '.join(rare)}",
            "weight the loss, or draw them more often; their scores rest on few cases",
        )
    if split is None:
        return
    row = {case: k for k, case in enumerate(index.ids)}
    for subset in SUBSETS:
        rows = [row[case] for case in getattr(split, subset) if case in row]
        here = positive[rows].any(axis=0) if rows else np.ones(len(counts), bool)
        absent = [n for n, has in zip(counts, here.tolist(), strict=True) if not has and counts[n]]
        if absent:
            yield Issue(
                "warning",
                "absent class",
                f"no {subset} case has {', '.join(absent)}",
                "choose another fold (data.fold=1), or fewer of them (data.folds=3)",
            )
