"""The page of an audit: numbers, findings in words and pictures, and what the labels hold."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.audit.file_scan import FileInfo
from medlight.audit.issues import Issue, count_by_level
from medlight.core.case import IMAGE_ROLE, is_mask_role
from medlight.core.case_result import CaseResult
from medlight.core.errors import MedlightError
from medlight.core.index import Index
from medlight.io.read import RawImage, read_raw
from medlight.report.mask_figures import PALETTE
from medlight.report.page import Figure, Page
from medlight.report.slices import CaseSlice, case_slice

MAX_PICTURES = 8
"""Of one finding, at most."""
MAX_ITEMS = 12
"""Findings of one kind that are written out; the others stand in check.json."""
MAX_PIXELS = 440
"""Along a side of a picture."""


def write_check_page(
    path: Path, index: Index, file_infos: Sequence[FileInfo], issues: Sequence[Issue]
) -> None:
    """One HTML file that tells all of it, whoever opens it."""
    page = Page(f"{index.name}: data check")
    number = count_by_level(issues)
    page.tiles(
        [
            ("", len(index), "cases"),
            ("", len(set(index.patients)), "patients"),
            ("", len(file_infos), "files"),
            *((level, n, f"{level}s") for level, n in number.items()),
        ]
    )
    if not issues:
        page.text("Nothing was found.")
    _issues(page, index, issues)
    _balance(page, index, file_infos)
    _files(page, file_infos)
    page.save(path)


def _issues(page: Page, index: Index, issues: Sequence[Issue]) -> None:
    written: Counter[str] = Counter()
    of_kind = Counter(issue.kind for issue in issues)
    for issue in issues:
        if not written[issue.kind]:
            many = of_kind[issue.kind]
            page.heading(issue.kind + (f" ({many} findings)" if many > 1 else ""))
        written[issue.kind] += 1
        if written[issue.kind] > MAX_ITEMS:
            continue
        page.callout(issue.level, issue.kind, issue.message, issue.advice)
        rows = issue.groups[: MAX_PICTURES // 2] or [issue.cases[:MAX_PICTURES]]
        for cases in rows:
            figures = [
                f for case in cases[:MAX_PICTURES] if (f := case_figure(index, case)) is not None
            ]
            if figures:
                page.images(figures)
        if len(issue.cases) > 1:
            groups = issue.groups or [(case,) for case in issue.cases]
            page.details(f"all {len(issue.cases)} cases", [", ".join(group) for group in groups])


def case_figure(index: Index, case: str) -> Figure | None:
    """One slice of a case, its mask in colour; None where the image cannot be shown."""
    files = index[case].files
    try:
        image = read_raw(files[IMAGE_ROLE])
        masks = [role for role in files if is_mask_role(role)]
        mask = read_raw(files[masks[0]], mask=True) if masks else None
    except (MedlightError, KeyError):
        return None
    values = image.values if image.values.ndim == image.grid.ndim else image.values[..., 0]
    finite = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    shown = CaseResult(case, (), finite[np.newaxis], truth=_labels(mask, image))
    pixels = _tinted(case_slice(shown, 0.0))
    return Figure(pixels, case, width=max(130, min(220, 3 * pixels.shape[1])))


def _labels(mask: RawImage | None, image: RawImage) -> NDArray[np.uint8] | None:
    """Of a mask that fits its image; whatever it holds, its colours are few."""
    if mask is None or mask.values.shape != image.grid.shape:
        return None
    whole = np.nan_to_num(mask.values).astype(np.int64)
    return np.where(whole > 0, 1 + (whole - 1) % len(PALETTE), 0).astype(np.uint8)


def _tinted(picture: CaseSlice) -> NDArray[np.uint8]:
    """(H, W, 3): the image with the labels of its mask in colour."""
    from matplotlib.colors import to_rgb

    colour = np.repeat(picture.image[..., np.newaxis], 3, axis=2).astype(np.float32)
    if picture.truth is not None:
        tints = np.array([to_rgb(each) for each in PALETTE]) * 255
        there = (picture.truth > 0)[..., np.newaxis]
        colour = np.where(there, 0.6 * colour + 0.4 * tints[picture.truth.astype(int) - 1], colour)
    thin = max(1, max(colour.shape[:2]) // MAX_PIXELS)
    return colour[::thin, ::thin].round().astype(np.uint8)


def _balance(page: Page, index: Index, file_infos: Sequence[FileInfo]) -> None:
    if index.labels.per_voxel:
        masks = [info for info in file_infos if is_mask_role(info.role)]
        label_counts = [info.label_counts for info in masks if info.label_counts]
        values = [float(sum(k in c for c in label_counts)) for k in range(len(index.labels))]
        if not label_counts:
            return
    elif index.tags is not None and not index.labels.numeric:
        values = (index.tags == 1).sum(axis=0).astype(float).tolist()
    else:
        return
    page.heading("Labels")
    page.bars(list(zip(index.labels.names, values, strict=True)), "cases")


def _files(page: Page, file_infos: Sequence[FileInfo]) -> None:
    page.heading("Files")
    rows = []
    for role in dict.fromkeys(info.role for info in file_infos):
        readable = [info for info in file_infos if info.role == role and info.grid is not None]
        if not readable:
            continue
        shapes = np.array([(*info.grid.shape, 1)[:3] for info in readable if info.grid])
        spacings = np.array([(*info.grid.spacing_mm, 1)[:3] for info in readable if info.grid])
        types = Counter(info.dtype_name for info in readable).most_common()
        rows.append(
            (
                role,
                f"{len(readable):,}",
                _range(shapes.min(axis=0), shapes.max(axis=0), "{:.0f}"),
                _range(spacings.min(axis=0), spacings.max(axis=0), "{:.3g}"),
                ", ".join(f"{name} ({n})" for name, n in types),
                f"{min(f.minimum for f in readable):.4g} to {max(f.maximum for f in readable):.4g}",
            )
        )
    page.table(["role", "usable", "size, from - to", "spacing in mm", "types", "values"], rows)


def _range(low: NDArray[np.generic], high: NDArray[np.generic], form: str) -> str:
    texts = [" x ".join(form.format(n) for n in end.tolist()) for end in (low, high)]
    return texts[0] if texts[0] == texts[1] else " - ".join(texts)
