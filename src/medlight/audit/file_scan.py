"""The one pass over the files: what each of them says, small enough to keep for a million.

The perceptual hash of an image differs in few bits from that of one that looks alike: it is blind
to brightness, contrast, resolution, noise and, in 3-D, to the order in which axes are stored.

Shapes: *S spatial axes, C channels last, both as stored.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from tqdm import tqdm

from medlight.audit.geometry import sform_qform_gap_mm, skew
from medlight.core.case import is_mask_role
from medlight.core.errors import MedlightError
from medlight.core.file_ref import FileRef
from medlight.core.grid import Grid
from medlight.core.index import Index
from medlight.io import annotations
from medlight.io.read import RawImage, read_raw

THUMBNAIL_CELLS = {2: 16, 3: 8}
"""Cells along each axis of the thumbnail that is compared."""
N_FREQUENCIES = {2: 8, 3: 4}
"""Frequencies along each axis that the hash keeps: 64 in both cases."""
HASH_BITS = 64


def thumbnail(values: NDArray[np.generic], grid: Grid) -> NDArray[np.float32]:
    """Shrink an image to block means, without mean and of unit length.

    Args:
        values: (*S) or (*S, C), of which the first channel is taken.
        grid: where it lies; volumes are turned to R, A, S.

    Returns:
        (cells, ...) float32; zeros if the image is constant.
    """
    thumb = np.asarray(values if values.ndim == grid.ndim else values[..., 0])
    cells = THUMBNAIL_CELLS[thumb.ndim]
    if thumb.ndim == 3:  # before anything is rounded, so that no turn shows
        axes = grid.axes
        thumb = np.transpose(thumb, np.argsort(axes[:, 0]))
        thumb = np.flip(thumb, tuple(world for world, sign in axes.tolist() if sign < 0))
    for axis, size in enumerate(thumb.shape):
        starts, widths = _blocks(size, cells)
        thumb = np.add.reduceat(thumb, starts, axis=axis, dtype=np.float32)
        thumb /= widths.reshape([-1 if k == axis else 1 for k in range(thumb.ndim)])
    thumb = np.nan_to_num(thumb - thumb.mean(), posinf=0, neginf=0)
    length = float(np.linalg.norm(thumb))
    if length < 1e-3 * cells:
        return np.zeros(thumb.shape, np.float32)
    return np.ascontiguousarray(thumb / length, dtype=np.float32)


def perceptual_hash(thumb: NDArray[np.float32]) -> int:
    """Hash a thumbnail: which of its low frequencies (DCT-II) are above their median.

    Args:
        thumb: as `thumbnail` gives it.

    Returns:
        64 bits, of which images that look alike share nearly all.
    """
    corner = (slice(N_FREQUENCIES[thumb.ndim]),) * thumb.ndim
    low = dctn(thumb)[corner]
    flat = low.ravel()[1:]  # without the mean
    return int.from_bytes(np.packbits(flat > np.median(flat)).tobytes(), "big")


@lru_cache(maxsize=1024)
def _blocks(size: int, cells: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Where each cell starts, and its width; a cell repeats a voxel where there are too few."""
    edges = np.linspace(0, size, cells + 1).astype(np.intp)
    return edges[:-1], np.maximum(np.diff(edges), 1).astype(np.float32)


FILES_PER_TASK = 256
"""Files a process is given at a time: enough to forget the cost of handing them over."""
MAX_LABELS = 1000
STATISTICS_VOXELS = 1 << 22
"""Voxels from which mean and deviation are taken, evenly spread; extremes are of all of them."""


@dataclass(slots=True)
class FileInfo:
    """What one file says of itself.

    Attributes:
        row: of its case in the index.
        role: "image", "mask", ...
        error: why it cannot be used; nothing below is known then.
        sform_qform_gap_mm: how far apart sform and qform put a corner; 0 where one of them is
            missing.
        skew: largest cosine between two voxel axes; 0 where they are at right angles.
        minimum, maximum, mean, std: of intensities, scaled as the header says.
        n_fractional: voxels that are no whole numbers; of masks only.
        counts: label to voxels; of masks only, None where it is no mask at all.
        perceptual_hash: perceptual hash; None for masks and constant images.
        thumbnail: of 2 or 3 axes, as bytes of int8.
    """

    row: int
    role: str
    ref: FileRef
    error: str | None = None
    size: int = 0
    sha256: str = ""
    dtype_name: str = ""
    grid: Grid | None = None
    channels: int = 1
    sform_qform_gap_mm: float = 0.0
    skew: float = 0.0
    n_nonfinite: int = 0
    minimum: float = 0.0
    maximum: float = 0.0
    mean: float = 0.0
    std: float = 0.0
    n_fractional: int = 0
    label_counts: dict[int, int] | None = None
    perceptual_hash: int | None = None
    thumbnail: bytes = b""

    @property
    def path(self) -> str:
        """For messages."""
        return str(self.ref)

    @property
    def readable(self) -> bool:
        return self.error is None

    @property
    def constant(self) -> bool:
        return self.readable and not is_mask_role(self.role) and self.minimum == self.maximum


def scan_files(index: Index, *, num_processes: int = 1) -> list[FileInfo]:
    """Open every file of every case once, in the order of cases and roles.

    Args:
        num_processes: that read at the same time; 1 reads in this one.
    """
    work = [
        (row, role, ref)
        for role in index.files
        if role != annotations.ANNOTATIONS_ROLE
        for row, ref in enumerate(index.refs(role))
        if ref is not None
    ]
    with tqdm(total=len(work), desc="checking", unit="file", disable=None) as bar:
        info = []
        for part in _done(work, num_processes):
            info += part
            bar.update(len(part))
    return sorted(info, key=lambda info: info.row)


Work = Sequence[tuple[int, str, FileRef]]


def _done(work: Work, num_processes: int) -> Iterable[list[FileInfo]]:
    at_once = max(1, min(FILES_PER_TASK, len(work) // (4 * num_processes)))
    parts = iter([work[k : k + at_once] for k in range(0, len(work), at_once)])
    if num_processes <= 1 or len(work) < 2 * num_processes:
        yield from map(_scan_all, parts)
        return
    with ProcessPoolExecutor(num_processes, mp_context=get_context("forkserver")) as pool:
        while some := list(
            islice(parts, 8 * num_processes)
        ):  # bounded: results are taken as they come
            yield from pool.map(_scan_all, some)


def _scan_all(work: Work) -> list[FileInfo]:
    return [scan_file(*each) for each in work]


def scan_file(row: int, role: str, ref: FileRef) -> FileInfo:
    """Open one file. What is wrong with it is in `error`, and raises nothing.

    Args:
        row: of its case in the index.
        role: "image", "mask", ...
        ref: what to open.
    """
    info = FileInfo(row, role, ref)
    try:
        raw = read_raw(ref, mask=is_mask_role(role))
    except MedlightError as error:
        info.error = str(error)
        return info
    with np.errstate(all="ignore"):  # absurd numbers overflow, and are told as they are
        _describe(info, raw)
    return info


def _describe(info: FileInfo, raw: RawImage) -> None:
    info.size, info.sha256, info.dtype_name = raw.size, raw.sha256, raw.dtype_name
    info.grid = raw.grid
    info.channels = raw.values.shape[-1] if raw.values.ndim > raw.grid.ndim else 1
    if raw.sform is not None or raw.qform is not None:  # pictures have no place in the world
        info.skew = skew(raw.grid)
        info.sform_qform_gap_mm = sform_qform_gap_mm(raw.grid.shape, raw.sform, raw.qform)
    _measure(info, raw)
    if is_mask_role(info.role):
        info.label_counts, info.n_fractional = count_labels(raw.values, raw.slope, raw.inter)
    elif not info.constant:
        thumb = thumbnail(raw.values, raw.grid)
        if thumb.any():
            info.perceptual_hash = perceptual_hash(thumb)
            info.thumbnail = np.rint(thumb * (127 / np.abs(thumb).max())).astype(np.int8).tobytes()


def _measure(info: FileInfo, raw: RawImage) -> None:
    values = raw.values
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        info.n_nonfinite = values.size - int(np.count_nonzero(finite))
        if info.n_nonfinite:
            values = values[finite]
    if not values.size:
        return
    ends = sorted(float(end) * raw.slope + raw.inter for end in (values.min(), values.max()))
    info.minimum, info.maximum = ends
    spread = values.ravel(order="K")[:: 1 + values.size // STATISTICS_VOXELS].astype(np.float64)
    info.mean = float(spread.mean()) * raw.slope + raw.inter
    info.std = float(spread.std()) * abs(raw.slope)


def count_labels(
    values: NDArray[Any], slope: float = 1.0, inter: float = 0.0
) -> tuple[dict[int, int] | None, int]:
    """Count the voxels of each label.

    Args:
        values: as stored.
        slope, inter: what scales them.

    Returns:
        Label to voxels, None above a thousand labels (an image, not a mask); and how many voxels
        hold no whole number.
    """
    counts: dict[int, int] = {}
    n_fractional = 0
    flat = values.ravel(order="K")
    for start in range(0, flat.size, STATISTICS_VOXELS):
        part = flat[start : start + STATISTICS_VOXELS]
        if part.dtype.kind == "f" or (slope, inter) != (1.0, 0.0):
            scaled = part.astype(np.float64) * slope + inter
            scaled = scaled[np.isfinite(scaled)]
            whole = np.rint(scaled)
            n_fractional += part.size - int(np.count_nonzero(np.abs(scaled - whole) <= 1e-3))
            part = np.clip(whole, -(2**53), 2**53).astype(np.int64)
        if not part.size:
            continue
        lowest = int(part.min())
        if int(part.max()) - lowest < 1 << 16:
            # Unsigned numbers may be beyond int64, and differences of signed ones beyond theirs.
            part = part - part.dtype.type(lowest) if part.dtype.kind == "u" else part
            above = part.astype(np.int64) - (0 if part.dtype.kind == "u" else lowest)
            found = np.bincount(above)
            labels = np.flatnonzero(found)
            whole_labels = [label + lowest for label in labels.tolist()]
            pairs = zip(whole_labels, found[labels].tolist(), strict=True)
        else:
            labels, found = np.unique(part, return_counts=True)
            pairs = zip(labels.tolist(), found.tolist(), strict=True)
        for label, number in pairs:
            counts[label] = counts.get(label, 0) + number
        if len(counts) > MAX_LABELS:
            return None, n_fractional
    return counts, n_fractional
