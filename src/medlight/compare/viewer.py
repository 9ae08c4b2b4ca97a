"""What the page's viewer shows of a case: image, truth and predictions, small enough to send.

Volumes are turned to RAS, cut to what any mask shows and a margin, thinned where they are large,
and scaled to 8 bits. Headers are new: nothing of the source file's is kept but its spacing.
"""

import base64
import gzip
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medlight.compare.case_scores import ALL_CLASSES
from medlight.compare.comparison import Comparison
from medlight.compare.groups import Group
from medlight.core.errors import MedlightError
from medlight.core.file_ref import FileRef
from medlight.core.grid import Grid
from medlight.io.read import read_image, read_mask
from medlight.report.slices import to_screen
from medlight.runs.directory import PREDICTION_FOLDER

N_WORST, N_CHANGED = 3, 5
MARGIN = 12
MAX_AXIS = 112
"""Voxels along an axis of what is shown."""
MAX_BYTES = 14_000_000
MAX_GROUPS = 12
"""Groups whose predictions are put into the page; of more, the best."""

CaseFiles = Callable[[str], dict[str, FileRef]]
"""A case id to the files of the case by role ("image", "mask"); empty where they are not here."""


@dataclass(frozen=True, slots=True)
class ViewerCase:
    """A case worth a look, and why."""

    case: str
    why: str


def select_cases(comparison: Comparison) -> list[ViewerCase]:
    """The worst cases of the reference and those that moved most, each once."""
    key = (comparison.metric, ALL_CLASSES)
    values = comparison.per_case.get(
        key, next(v for k, v in comparison.per_case.items() if k[0] == key[0])
    )
    sign = 1 if comparison.main.direction == "higher" else -1
    order = np.argsort(np.where(np.isnan(values[:, 0]), math.inf, sign * values[:, 0]))
    picked = {comparison.cases[i]: "among the worst" for i in order[:N_WORST]}
    for name, changes in comparison.changes.items():
        for each in changes[: max(1, N_CHANGED // len(comparison.changes))]:
            up = sign * (each.contender - each.reference) > 0
            picked.setdefault(each.case, f"{'gained' if up else 'lost'} by {name}")
    return [ViewerCase(case, why) for case, why in picked.items()][: N_WORST + N_CHANGED]


def viewer_cases(comparison: Comparison, files: CaseFiles) -> list[dict[str, Any]]:
    """The chosen cases as the page's script wants them; no more than some megabytes."""
    key = (comparison.metric, ALL_CLASSES)
    table = comparison.per_case.get(
        key, next(v for k, v in comparison.per_case.items() if k[0] == key[0])
    )
    kept = sorted(range(len(comparison.ranks)), key=lambda i: (i > 0, comparison.ranks[i].rank))[
        :MAX_GROUPS
    ]
    shown: list[dict[str, Any]] = []
    size = 0
    for each in select_cases(comparison):
        row = comparison.cases.index(each.case)
        scores = [None if math.isnan(v) else float(v) for v in table[row]]
        head = {"id": each.case, "why": each.why, "scores": scores}
        kind = _class_case if comparison.reference.first_cases.probabilities.size else _mask_case
        try:
            item = head | kind(comparison, each.case, files(each.case), kept)
        except MedlightError:
            continue  # a file that cannot be read is no reason to have no page
        size += sum(len(text) for text in _texts(item))
        if size > MAX_BYTES:
            break
        if any(_texts({k: item[k] for k in ("image", "truth", "picture") if k in item})) or any(
            item["predictions"]
        ):
            shown.append(item)
    return shown


def _texts(item: dict[str, Any]) -> list[str]:
    return [
        t for v in item.values() for t in (v if isinstance(v, list) else [v]) if isinstance(t, str)
    ]


def _class_case(
    comparison: Comparison, case: str, files: dict[str, FileRef], kept: Sequence[int]
) -> dict[str, Any]:
    said: list[str | None] = []
    truth = ""
    for group in comparison.groups:
        run = next(run for run in group.runs if case in run.cases.ids)
        i = run.cases.ids.index(case)
        names = np.array(run.cases.classes)
        truth = ", ".join(names[run.cases.truth[i] == 1]) or "none"
        p = run.cases.probabilities[i]
        given = [k for k in range(len(p)) if p[k] >= 0.5] or [int(p.argmax())]
        said.append(", ".join(f"{names[k]} (p = {p[k]:.3g})" for k in given))
    picture = None
    if "image" in files:
        image, grid = read_image(files["image"])
        if grid.ndim == 2:
            screen = np.moveaxis(to_screen(image), 0, -1)
            thumb = Image.fromarray(screen[..., 0] if screen.shape[-1] != 3 else screen)
            thumb.thumbnail((384, 384))
            file = io.BytesIO()
            thumb.save(file, "PNG")
            picture = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {"picture": picture, "truth": truth, "predictions": said}


def _mask_case(
    comparison: Comparison, case: str, files: dict[str, FileRef], kept: Sequence[int]
) -> dict[str, Any]:
    masks = [_prediction(g, case) if i in kept else None for i, g in enumerate(comparison.groups)]
    truth = read_mask(files["mask"]) if "mask" in files else None
    known = [each for each in [truth, *masks] if each is not None]
    if not known:
        return {"image": None, "truth": None, "predictions": []}
    grid = known[0][1]
    image = read_image(files["image"]) if "image" in files else None
    union = np.any([m[0] > 0 for m, g in known if g.shape == grid.shape], axis=0)
    window = _window(union)

    def packed(pair: tuple[NDArray[Any], Grid] | None, *, grey: bool = False) -> str | None:
        if pair is None or pair[1].shape != grid.shape:
            return None
        values = to_screen(pair[0][:1])[0] if grey else pair[0][0].astype(np.uint8)
        return _nifti(values[window], grid)

    return {
        "image": packed(image, grey=True),
        "truth": packed(truth),
        "predictions": [packed(mask) for mask in masks],
    }


def _prediction(group: Group, case: str) -> tuple[NDArray[np.int64], Grid] | None:
    stem = case.replace("/", "__")  # as callbacks name them
    for run in group.runs:
        for suffix in (".nii.gz", ".png"):
            path = run.path / PREDICTION_FOLDER / f"{stem}{suffix}"
            if path.exists():
                return read_mask(path)
    return None


def _window(union: NDArray[np.bool_]) -> tuple[slice, ...]:
    """What any mask shows and a margin, thinned to `MAX_AXIS` voxels along each axis."""
    window = []
    for axis, length in enumerate(union.shape):
        rest = tuple(i for i in range(union.ndim) if i != axis)
        there = np.flatnonzero(union.any(axis=rest))
        first, last = (there[0], there[-1]) if len(there) else (0, length - 1)
        start, stop = max(0, first - MARGIN), min(length, last + 1 + MARGIN)
        window.append(slice(int(start), int(stop), max(1, math.ceil((stop - start) / MAX_AXIS))))
    return tuple(window)


def _nifti(values: NDArray[np.uint8], grid: Grid) -> str:
    """Base64 of a compressed NIfTI file in RAS, centred on the origin."""
    if values.ndim == 2:
        values = values[..., None]
    turned = nib.orientations.io_orientation(grid.affine)
    volume = nib.Nifti1Image(values, grid.affine).as_reoriented(turned)
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    affine = np.diag([*np.where(spacing > 0, spacing, 1), 1.0])
    affine[:3, 3] = -affine.diagonal()[:3] * (np.array(volume.shape) - 1) / 2
    fresh = nib.Nifti1Image(np.ascontiguousarray(volume.dataobj), affine)
    return base64.b64encode(gzip.compress(fresh.to_bytes(), 6, mtime=0)).decode()
