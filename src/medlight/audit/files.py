"""Files that are missing, unreadable or nobody's; and what they say of each other."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from medlight.audit.caveats import caveat_issues, channel_issues
from medlight.audit.file_scan import FileInfo
from medlight.audit.geometry import alignment_issue, header_issues
from medlight.audit.issues import Issue, exclude_hint, shorten
from medlight.core.case import IMAGE_ROLE, MASK_ROLE, is_mask_role
from medlight.core.errors import MedlightError
from medlight.core.file_ref import FileRef, is_local
from medlight.core.grid import Grid
from medlight.core.index import Index
from medlight.io import annotations
from medlight.io.gz import MAX_TRAILING_BYTES
from medlight.io.nifti import read_header, spare_bytes
from medlight.io.read import (
    RASTER_SUFFIXES,
    VOLUME_SUFFIXES,
    is_nifti,
    is_volume,
    read_place,
    read_raw,
)


def pair_issues(index: Index) -> Iterator[Issue]:
    """Cases without an image; cases without a mask where others have one."""
    masks = [role for role in index.files if is_mask_role(role)]
    wanted = {IMAGE_ROLE: [IMAGE_ROLE]} | ({MASK_ROLE: masks} if index.labels.per_voxel else {})
    for role, any_of in wanted.items():
        found = {case for each in any_of for case, ref in _pairs(index, each) if ref is not None}
        lacking = tuple(case for case in index.ids if case not in found)
        if lacking:
            yield Issue(
                "error",
                "missing pair",
                f"{len(lacking)} cases have no {role}: {shorten(lacking)}",
                f"add the {role}s, or {exclude_hint(lacking, 'missing pair')}",
                lacking,
            )


def _pairs(index: Index, role: str) -> Iterator[tuple[str, FileRef | None]]:
    return zip(index.ids, index.refs(role), strict=True)


def unreadable_issue(case: str, message: str, ref: FileRef) -> Issue:
    """The finding of a file that is not there, or cannot be read; `message` names it."""
    if not all(path.is_symlink() or path.exists() for path in ref.paths):
        return Issue(
            "error",
            "missing",
            message,
            f"put it back, or {exclude_hint([case], 'missing')}",
            (case,),
        )
    advice = f"copy or download it again, or {exclude_hint([case], 'unreadable')}"
    return Issue("error", "unreadable", message, advice, (case,))


def file_issues(index: Index, file_infos: Sequence[FileInfo]) -> Iterator[Issue]:
    """Unusable files, contradictory headers, and masks that do not lie on their images."""
    yield from caveat_issues(
        [(index.ids[i.row], i.path, i.grid.caveats) for i in file_infos if i.grid is not None]
    )
    image: FileInfo | None = None
    for info in file_infos:  # in the order of cases, and of roles
        case = index.ids[info.row]
        if info.error is not None:
            yield unreadable_issue(case, info.error, info.ref)
            continue
        assert info.grid is not None
        yield from header_issues(
            case, info.role, info.path, info.sform_qform_gap_mm, info.skew, info.grid
        )
        if info.role == IMAGE_ROLE:
            image = info
        elif image is not None and image.row == info.row and image.grid is not None:
            issue = alignment_issue(case, image.grid, info.grid, f"{image.path} and {info.path}")
            if issue is not None:
                yield issue


def stray_issues(index: Index, *, beside: bool = False) -> Iterator[Issue]:
    """Images and volumes that belong to no case.

    Args:
        index: all cases, those that are left out as well.
        beside: look only into the folders where images of cases lie, and warn.
    """
    refs = [ref for role in index.files for ref in index.refs(role) if ref is not None]
    known = {os.path.abspath(path) for ref in refs for path in ref.paths if is_local(path)}
    roots = dict.fromkeys(source.root for source in index.sources)
    if beside:
        images = (ref for ref in index.refs(IMAGE_ROLE) if ref is not None and not ref.part)
        roots = dict.fromkeys(path.parent for ref in images for path in ref.paths)
    strays = []
    for root in filter(is_local, roots):
        for folder, inner, names in os.walk(root):
            inner[:] = [] if beside else sorted(n for n in inner if not n.startswith("."))
            start = os.path.abspath(folder)
            strays += [
                os.path.join(folder, name)
                for name in sorted(names)
                if name.lower().endswith(VOLUME_SUFFIXES + RASTER_SUFFIXES)
                and not name.startswith(".")
                and os.path.join(start, name) not in known
            ]
    if strays:
        yield Issue(
            "warning" if beside else "note",
            "stray files",
            f"{len(strays)} images or volumes belong to no case: {shorten(strays, 3)}",
            "unlabelled cases, files with another ending, or files that a list forgot; nothing "
            "reads them",
        )


def header_scan_issues(index: Index) -> Iterator[Issue]:
    """What can be said without reading a voxel: files that are missing or empty, damaged headers
    of volumes, volumes that end early, masks that do not lie on their images, and images that
    differ in their number of channels.

    Pictures are not opened: of them only the size is looked at.
    """
    columns = {
        role: index.refs(role) for role in index.files if role != annotations.ANNOTATIONS_ROLE
    }
    noted = index.refs(annotations.ANNOTATIONS_ROLE)
    caveats: list[tuple[str, str, tuple[str, ...]]] = []
    channels: dict[str, list[tuple[str, str, int]]] = {}
    for row, case in enumerate(index.ids):
        grids: dict[str, tuple[Grid, FileRef]] = {}
        for role, column in columns.items():
            ref = column[row]
            if ref is None:
                continue
            try:
                found = [_checked_header(path) for path in ref.paths]
            except MedlightError as error:
                yield unreadable_issue(case, str(error), ref)
                continue
            if found[0] is not None:
                grids[role] = found[0][0], ref
                caveats.append((case, str(ref), found[0][0].caveats))
                number = sum(each[1] for each in found if each is not None)
                channels.setdefault(role, []).append((case, str(ref), number))
        ref = noted[row]
        if ref is not None:
            try:
                image_grid = grids[IMAGE_ROLE][0] if IMAGE_ROLE in grids else None
                ndim = 2 if image_grid is None else image_grid.ndim  # of a picture
                annotations.read_annotations(ref.path, ndim)
            except MedlightError as error:
                yield unreadable_issue(case, str(error), ref)
        if IMAGE_ROLE in grids:
            image, where = grids.pop(IMAGE_ROLE)
            for mask, ref in grids.values():
                issue = alignment_issue(case, image, mask, f"{where} and {ref}")
                if issue is not None:
                    yield issue
    yield from caveat_issues(caveats)
    yield from channel_issues(IMAGE_ROLE, channels.get(IMAGE_ROLE, []))


def _checked_header(path: Path) -> tuple[Grid, int] | None:
    """Grid and channels of a volume; None for others. MedlightError where it cannot be used."""
    if is_volume(path):
        found = read_place(path)
        if is_nifti(path) and spare_bytes(path, read_header(path)) > MAX_TRAILING_BYTES:
            read_raw(path)  # says what is wrong with it, if it is
        return found
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    if not size:
        read_raw(path)  # says what is wrong with it
    return None
