"""The page of an audit: numbers, findings in words and pictures, and what the labels hold."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.audit.facts import IMAGE, MASK, FileFacts
from medlight.audit.findings import Finding, counted
from medlight.core.errors import MedlightError
from medlight.core.index import Index
from medlight.io.raw import Raw, read_raw
from medlight.report.page import Figure, Page

PICTURES = 8
"""Of one finding, at most."""
ITEMS = 12
"""Findings of one kind that are written out; the others stand in check.json."""
PALETTE = np.array(
    [[230, 159, 0], [86, 180, 233], [204, 121, 167], [0, 158, 115], [240, 228, 66], [213, 94, 0]],
    np.float32,
)
"""Of labels 1, 2, ...: Okabe and Ito's."""


def write_page(
    path: Path, index: Index, facts: Sequence[FileFacts], findings: Sequence[Finding]
) -> None:
    """One HTML file that tells all of it, whoever opens it."""
    page = Page(f"{index.name}: data check")
    number = counted(findings)
    page.tiles(
        [
            ("", len(index), "cases"),
            ("", len(set(index.patients)), "patients"),
            ("", len(facts), "files"),
            *((level, n, f"{level}s") for level, n in number.items()),
        ]
    )
    if not findings:
        page.text("Nothing was found.")
    _findings(page, index, findings)
    _balance(page, index, facts)
    _files(page, facts)
    page.save(path)


def _findings(page: Page, index: Index, findings: Sequence[Finding]) -> None:
    written: Counter[str] = Counter()
    of_kind = Counter(finding.kind for finding in findings)
    for finding in findings:
        if not written[finding.kind]:
            many = of_kind[finding.kind]
            page.heading(finding.kind + (f" ({many} findings)" if many > 1 else ""))
        written[finding.kind] += 1
        if written[finding.kind] > ITEMS:
            continue
        page.item(finding.level, finding.kind, finding.message, finding.advice)
        rows = finding.groups[: PICTURES // 2] or [finding.cases[:PICTURES]]
        for cases in rows:
            figures = [f for case in cases[:PICTURES] if (f := picture(index, case)) is not None]
            if figures:
                page.pictures(figures)
        if len(finding.cases) > 1:
            groups = finding.groups or [(case,) for case in finding.cases]
            page.details(f"all {len(finding.cases)} cases", [", ".join(group) for group in groups])


def picture(index: Index, case: str) -> Figure | None:
    """One slice of a case, its mask in colour; None where the image cannot be shown."""
    files = index[case].files
    try:
        image = read_raw(files[IMAGE])
        mask = read_raw(files[MASK]) if MASK in files else None
    except (MedlightError, KeyError):
        return None
    if mask is not None and mask.values.shape != image.grid.shape:
        mask = None
    pixels = _drawn(image, mask)
    return Figure(pixels, case, width=max(130, min(220, 3 * pixels.shape[1])))


def _drawn(image: Raw, mask: Raw | None) -> NDArray[np.uint8]:
    values = image.values if image.values.ndim == image.grid.ndim else image.values[..., 0]
    labels = None if mask is None else mask.values
    if values.ndim == 3:  # the last stored axis is the slice, which is axial more often than not
        place = values.shape[2] // 2
        if labels is not None and (labels > 0).any():
            place = int(np.argmax((labels > 0).sum(axis=(0, 1))))
        values = np.rot90(values[:, :, place])
        labels = None if labels is None else np.rot90(labels[:, :, place])
    grey = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    low, high = np.percentile(grey, [1, 99])
    grey = np.clip((grey - low) / max(high - low, 1e-6), 0, 1) if high > low else 0 * grey + 0.1
    colour = np.repeat(255 * grey[..., None], 3, axis=2)
    if labels is not None:
        whole = np.nan_to_num(labels).astype(np.int64)
        tint = PALETTE[(whole - 1) % len(PALETTE)]
        colour = np.where((whole > 0)[..., None], 0.6 * colour + 0.4 * tint, colour)
    thin = max(1, max(colour.shape[:2]) // 440)
    return colour[::thin, ::thin].round().astype(np.uint8)


def _balance(page: Page, index: Index, facts: Sequence[FileFacts]) -> None:
    if index.labels.kind == "mask":
        counts = [fact.counts for fact in facts if fact.role == MASK and fact.counts]
        values = [float(sum(k in c for c in counts)) for k in range(len(index.labels))]
        if not counts:
            return
    elif index.tags is not None:
        values = (index.tags == 1).sum(axis=0).astype(float).tolist()
    else:
        return
    page.heading("Labels")
    page.bars(list(zip(index.labels.names, values, strict=True)), "cases")


def _files(page: Page, facts: Sequence[FileFacts]) -> None:
    page.heading("Files")
    rows = []
    for role in dict.fromkeys(fact.role for fact in facts):
        usable = [fact for fact in facts if fact.role == role and fact.grid is not None]
        if not usable:
            continue
        shapes = np.array([(*fact.grid.shape, 1)[:3] for fact in usable if fact.grid])
        spacings = np.array([(*fact.grid.spacing_mm, 1)[:3] for fact in usable if fact.grid])
        types = Counter(fact.type_name for fact in usable).most_common()
        rows.append(
            (
                role,
                f"{len(usable):,}",
                _range(shapes.min(axis=0), shapes.max(axis=0), "{:.0f}"),
                _range(spacings.min(axis=0), spacings.max(axis=0), "{:.3g}"),
                ", ".join(f"{name} ({n})" for name, n in types),
                f"{min(f.low for f in usable):.4g} to {max(f.high for f in usable):.4g}",
            )
        )
    page.table(["role", "usable", "size, from - to", "spacing in mm", "types", "values"], rows)


def _range(low: NDArray[np.generic], high: NDArray[np.generic], form: str) -> str:
    texts = [" x ".join(form.format(n) for n in end.tolist()) for end in (low, high)]
    return texts[0] if texts[0] == texts[1] else " - ".join(texts)
