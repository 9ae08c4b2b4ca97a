"""Files that are missing, unreadable or nobody's; and what they say of each other."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from medlight.audit.facts import IMAGE, MASK, FileFacts
from medlight.audit.findings import Finding, leave_out, some
from medlight.audit.geometry import between, header_findings
from medlight.core.errors import MedlightError
from medlight.core.grid import Grid
from medlight.core.index import Index
from medlight.io import annotations
from medlight.io.raw import ends_whole, read_header, read_raw
from medlight.io.read import NIFTI, RASTER, is_nifti


def pair_findings(index: Index) -> Iterator[Finding]:
    """Cases without an image; cases without a mask where others have one."""
    wanted = [IMAGE, *([MASK] if index.labels.kind == "mask" else [])]
    for role in wanted:
        lacking = tuple(
            case for case, path in zip(index.ids, index.paths(role), strict=True) if path is None
        )
        if lacking:
            yield Finding(
                "error",
                "missing pair",
                f"{len(lacking)} cases have no {role}: {some(lacking)}",
                f"add the {role}s, or {leave_out(lacking, 'missing pair')}",
                lacking,
            )


def unusable(case: str, message: str, path: str) -> Finding:
    """The finding of a file that is not there, or cannot be read; `message` names it."""
    if not os.path.lexists(path):
        return Finding(
            "error", "missing", message, f"put it back, or {leave_out([case], 'missing')}", (case,)
        )
    advice = f"copy or download it again, or {leave_out([case], 'unreadable')}"
    return Finding("error", "unreadable", message, advice, (case,))


def file_findings(index: Index, facts: Sequence[FileFacts]) -> Iterator[Finding]:
    """Unusable files, contradictory headers, and masks that do not lie on their images."""
    image: FileFacts | None = None
    for fact in facts:  # in the order of cases, and of roles
        case = index.ids[fact.row]
        if fact.error is not None:
            yield unusable(case, fact.error, fact.path)
            continue
        assert fact.grid is not None
        yield from header_findings(
            case, fact.role, fact.path, fact.form_gap_mm, fact.skew, fact.grid
        )
        if fact.role == IMAGE:
            image = fact
        elif image is not None and image.row == fact.row and image.grid is not None:
            finding = between(case, image.grid, fact.grid, f"{image.path} and {fact.path}")
            if finding is not None:
                yield finding


def stray_findings(index: Index) -> Iterator[Finding]:
    """Images and volumes below the roots that belong to no case."""
    known = {os.path.abspath(path) for role in index.files for path in index.paths(role) if path}
    strays = []
    for root in dict.fromkeys(source.root for source in index.sources):
        for folder, inner, names in os.walk(root):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            start = os.path.abspath(folder)
            strays += [
                os.path.join(folder, name)
                for name in sorted(names)
                if name.lower().endswith(NIFTI + RASTER)
                and not name.startswith(".")
                and os.path.join(start, name) not in known
            ]
    if strays:
        yield Finding(
            "note",
            "stray files",
            f"{len(strays)} images or volumes belong to no case: {some(strays, 3)}",
            "unlabelled cases, or files that a list forgot; nothing reads them",
        )


def header_scan(index: Index) -> Iterator[Finding]:
    """What can be said without reading a voxel: files that are missing or empty, damaged headers
    of volumes, volumes that end early, and masks that do not lie on their images.

    Pictures are not opened: of them only the size is looked at.
    """
    columns = {role: index.paths(role) for role in index.files if role != annotations.ROLE}
    noted = index.paths(annotations.ROLE)
    for row, case in enumerate(index.ids):
        grids: dict[str, tuple[Grid, str]] = {}
        for role, column in columns.items():
            path = column[row]
            if path is None:
                continue
            try:
                grid = _glance(Path(path))
            except MedlightError as error:
                yield unusable(case, str(error), path)
                continue
            if grid is not None:
                grids[role] = grid, path
        path = noted[row]
        if path is not None:
            try:
                image_grid = grids.get(IMAGE, (None, ""))[0]
                ndim = 2 if image_grid is None else image_grid.ndim  # of a picture
                annotations.read_annotations(Path(path), ndim)
            except MedlightError as error:
                yield unusable(case, str(error), path)
        if IMAGE in grids:
            image, where = grids.pop(IMAGE)
            for mask, path in grids.values():
                finding = between(case, image, mask, f"{where} and {path}")
                if finding is not None:
                    yield finding


def _glance(path: Path) -> Grid | None:
    """The grid of a volume; None for a picture. MedlightError where either cannot be used."""
    if is_nifti(path):
        header = read_header(path)
        if not ends_whole(path, header):
            read_raw(path)  # says what is wrong with it, if it is
        return header.grid
    try:
        size = os.stat(path).st_size
    except OSError:
        size = 0
    if not size:
        read_raw(path)  # says what is wrong with it
    return None
