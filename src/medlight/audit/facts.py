"""The one pass over the files: what each of them says, small enough to keep for a million.

Shapes: *S spatial axes, C channels last, both as stored.
"""

import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from medlight.audit.geometry import form_gap_mm, skew
from medlight.audit.likeness import perceptual_hash, thumbnail
from medlight.core.errors import MedlightError
from medlight.core.grid import Grid
from medlight.core.index import Index
from medlight.io import annotations
from medlight.io.raw import Raw, read_raw

IMAGE, MASK = "image", "mask"
AT_ONCE = 256
"""Files a process is given at a time: enough to forget the cost of handing them over."""
MOST_LABELS = 1000
STATISTICS_OF = 1 << 22
"""Voxels from which mean and deviation are taken, evenly spread; extremes are of all of them."""


@dataclass(slots=True)
class FileFacts:
    """What one file says of itself.

    Attributes:
        row: of its case in the index.
        role: "image", "mask", ...
        error: why it cannot be used; nothing below is known then.
        form_gap_mm: how far apart sform and qform put a corner; 0 where one of them is missing.
        skew: largest cosine between two voxel axes; 0 where they are at right angles.
        low, high, mean, deviation: of intensities, scaled as the header says.
        fractions: voxels that are no whole numbers; of masks only.
        counts: label to voxels; of masks only, None where it is no mask at all.
        likeness: perceptual hash; None for masks and constant images.
        thumbnail: of 2 or 3 axes, as bytes of int8.
    """

    row: int
    role: str
    path: str
    error: str | None = None
    size: int = 0
    sha256: str = ""
    type_name: str = ""
    grid: Grid | None = None
    channels: int = 1
    form_gap_mm: float = 0.0
    skew: float = 0.0
    nonfinite: int = 0
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    fractions: int = 0
    counts: dict[int, int] | None = None
    likeness: int | None = None
    thumbnail: bytes = b""

    @property
    def usable(self) -> bool:
        return self.error is None

    @property
    def constant(self) -> bool:
        return self.usable and self.role != MASK and self.low == self.high


def gather(index: Index, *, processes: int = 1, show: bool | None = None) -> list[FileFacts]:
    """Open every file of every case once, in the order of cases and roles.

    Args:
        processes: that read at the same time; 1 reads in this one.
        show: a progress bar; None: where there is a terminal.
    """
    work = [
        (row, role, path)
        for role in index.files
        if role != annotations.ROLE
        for row, path in enumerate(index.paths(role))
        if path is not None
    ]
    hidden = not (sys.stderr.isatty() if show is None else show)
    with tqdm(total=len(work), desc="checking", unit="file", disable=hidden) as bar:
        facts = []
        for part in _done(work, processes):
            facts += part
            bar.update(len(part))
    return sorted(facts, key=lambda fact: fact.row)


Work = Sequence[tuple[int, str, str]]


def _done(work: Work, processes: int) -> Iterable[list[FileFacts]]:
    at_once = max(1, min(AT_ONCE, len(work) // (4 * processes)))
    parts = iter([work[k : k + at_once] for k in range(0, len(work), at_once)])
    if processes <= 1 or len(work) < 2 * processes:
        yield from map(_examine_all, parts)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        while some := list(islice(parts, 8 * processes)):  # bounded: results are taken as they come
            yield from pool.map(_examine_all, some)


def _examine_all(work: Work) -> list[FileFacts]:
    return [examine(*each) for each in work]


def examine(row: int, role: str, path: str) -> FileFacts:
    """Open one file. What is wrong with it is in `error`, and raises nothing."""
    facts = FileFacts(row, role, path)
    try:
        raw = read_raw(Path(path))
    except MedlightError as error:
        facts.error = str(error)
        return facts
    with np.errstate(all="ignore"):  # absurd numbers overflow, and are told as they are
        _describe(facts, raw)
    return facts


def _describe(facts: FileFacts, raw: Raw) -> None:
    facts.size, facts.sha256, facts.type_name = raw.size, raw.sha256, raw.type_name
    facts.grid = raw.grid
    facts.channels = raw.values.shape[-1] if raw.values.ndim > raw.grid.ndim else 1
    if raw.sform is not None or raw.qform is not None:  # pictures have no place in the world
        facts.skew = skew(raw.grid)
        facts.form_gap_mm = form_gap_mm(raw.grid.shape, raw.sform, raw.qform)
    _measure(facts, raw)
    if facts.role == MASK:
        facts.counts, facts.fractions = count_labels(raw.values, raw.slope, raw.inter)
    elif not facts.constant:
        small = thumbnail(raw.values, raw.grid)
        if small.any():
            facts.likeness = perceptual_hash(small)
            facts.thumbnail = np.rint(small * (127 / np.abs(small).max())).astype(np.int8).tobytes()


def _measure(facts: FileFacts, raw: Raw) -> None:
    values = raw.values
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        facts.nonfinite = values.size - int(np.count_nonzero(finite))
        if facts.nonfinite:
            values = values[finite]
    if not values.size:
        return
    ends = sorted(float(end) * raw.slope + raw.inter for end in (values.min(), values.max()))
    facts.low, facts.high = ends
    spread = values.ravel(order="K")[:: 1 + values.size // STATISTICS_OF].astype(np.float64)
    facts.mean = float(spread.mean()) * raw.slope + raw.inter
    facts.deviation = float(spread.std()) * abs(raw.slope)


def count_labels(
    values: NDArray[Any], slope: float = 1.0, inter: float = 0.0
) -> tuple[dict[int, int] | None, int]:
    """Label to number of voxels, and how many voxels hold no whole number.

    None where there are more than a thousand labels: an image, not a mask.
    """
    counts: dict[int, int] = {}
    fractions = 0
    flat = values.ravel(order="K")
    for start in range(0, flat.size, STATISTICS_OF):
        part = flat[start : start + STATISTICS_OF]
        if part.dtype.kind == "f" or (slope, inter) != (1.0, 0.0):
            scaled = part.astype(np.float64) * slope + inter
            scaled = scaled[np.isfinite(scaled)]
            whole = np.rint(scaled)
            fractions += part.size - int(np.count_nonzero(np.abs(scaled - whole) <= 1e-3))
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
        if len(counts) > MOST_LABELS:
            return None, fractions
    return counts, fractions
