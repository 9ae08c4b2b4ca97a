"""Images and masks of a case written to files of another layout, bit for bit what was read.

A file that can stay as it is becomes a hard link, or a copy on another disk.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.file_ref import FileRef
from medlight.io.nifti import read_header, write_nifti
from medlight.io.nifti_channels import join_channels, split_channels
from medlight.io.raster import write_raster
from medlight.io.read import (
    NIFTI_SUFFIXES,
    image_stem,
    is_volume,
    read_image,
    read_mask,
    read_place,
    read_raw,
)
from medlight.io.write import write_channel

NOT_KEPT = (".jpg", ".jpeg", ".nhdr", ".mhd")
"""Suffixes of what loses labels, or holds voxels in a file beside it."""
VOLUME_SUFFIX, PICTURE_SUFFIX = ".nii.gz", ".png"


def common_suffix(refs: Sequence[FileRef], spatial_dims: int) -> str:
    """Find the suffix that images and masks may share, so that most files stay as they are.

    Args:
        refs: all of them.
        spatial_dims: of the images.

    Returns:
        The one that all have, if it loses nothing; else `.nii.gz` or `.png`.
    """
    found = {"" if ref.part else suffix(path) for ref in refs for path in ref.paths}
    only = found.pop() if len(found) == 1 else ""
    usual = VOLUME_SUFFIX if spatial_dims == 3 else PICTURE_SUFFIX
    return only if only and only not in NOT_KEPT else usual


def suffix(path: Path) -> str:
    """The part of a name that says the format, in small letters.

    >>> suffix(Path("a.b.NII.gz"))
    '.nii.gz'
    """
    return path.name[len(image_stem(path.name)) :].lower()


def count_channels(ref: FileRef) -> int:
    """How many channels an image has. DataError where it cannot be read."""
    if not ref.part and all(is_volume(path) for path in ref.paths):
        return sum(read_place(path)[1] for path in ref.paths)
    return len(read_image(ref)[0])


def write_volume_channels(ref: FileRef, targets: Sequence[Path]) -> None:
    """Write each channel of a volume as a file of its own.

    Args:
        ref: the image.
        targets: as many files as it has channels.

    Raises:
        DataError: the image cannot be read, or has more or fewer channels.
    """
    if len(targets) != count_channels(ref):
        raise DataError(f"{ref} has {count_channels(ref)} channels, but others {len(targets)}")
    if not ref.part and len(ref.paths) == len(targets):
        for path, target in zip(ref.paths, targets, strict=True):
            nifti = suffix(path) in NIFTI_SUFFIXES
            if suffix(path) == suffix(target) and not (nifti and len(read_header(path).shape) > 3):
                link_or_copy(path, target)
            elif nifti:
                split_channels(path, [target])
            else:
                image, grid = read_image(path)
                write_channel(target, image[0], grid)
    elif ref.whole and suffix(ref.path) in NIFTI_SUFFIXES:
        split_channels(ref.path, targets)
    else:
        image, grid = read_image(ref)
        for channel, target in zip(image, targets, strict=True):
            write_channel(target, channel, grid)


def write_volume(ref: FileRef, target: Path) -> None:
    """Write a volume as one NIfTI file, its channels along a fourth axis.

    Args:
        ref: the image.
        target: the file; where the image is one NIfTI file, of the same suffix.

    Raises:
        DataError: the image cannot be read.
    """
    nifti = not ref.part and all(suffix(path) in NIFTI_SUFFIXES for path in ref.paths)
    if nifti and ref.whole and suffix(ref.path) == suffix(target):
        link_or_copy(ref.path, target)
    elif not (nifti and join_channels(ref.paths, target)):
        image, grid = read_image(ref)
        write_nifti(target, np.moveaxis(image, 0, -1) if len(image) > 1 else image[0], grid)


def write_pictures(ref: FileRef, targets: Sequence[Path]) -> None:
    """Write each file of a picture, or the one array it is.

    Args:
        ref: the picture.
        targets: as many files as it names.

    Raises:
        DataError: one cannot be read, or holds what a picture of 8 or 16 bits does not.
    """
    for path, target in zip(ref.paths, targets, strict=True):
        if not ref.part and suffix(path) == suffix(target):
            link_or_copy(path, target)
            continue
        one = FileRef((path,), ref.part)
        values = read_raw(one).values
        if values.dtype not in (np.uint8, np.uint16):
            raise DataError(f"{one}: it holds {values.dtype}, which no {suffix(target)} can keep")
        write_raster(target, values)


def write_mask(ref: FileRef, target: Path, numbers: NDArray[np.int64] | None) -> None:
    """Write a mask.

    Args:
        ref: the mask.
        target: the file.
        numbers: the new number of each label; None: they stay.

    Raises:
        DataError: it cannot be read, or holds a label that has no new number.
    """
    same = ref.whole and suffix(ref.path) == suffix(target)
    if numbers is None and same:
        return link_or_copy(ref.path, target)
    mask, grid = read_mask(ref)
    labels = mask[0]
    if numbers is not None:
        if labels.min() < 0 or labels.max() >= len(numbers) or (numbers[labels] < 0).any():
            raise DataError(f"{ref}: it holds labels up to {labels.max()} that have no name")
        labels = numbers[labels]
    if not 0 <= labels.min() <= labels.max() < 2**16:
        raise DataError(f"{ref}: its labels go from {labels.min()} to {labels.max()}")
    stored = labels.astype(np.uint8 if labels.max() < 256 else np.uint16)
    write_channel(target, stored, grid)
    return None


def link_or_copy(path: Path, target: Path) -> None:
    """Give a file another name, or copy it where that cannot be.

    Args:
        path: of the file.
        target: what it is called as well; its folder is made if it is missing.

    Raises:
        DataNotFoundError: it is not there.
    """
    if not path.is_file():
        raise DataNotFoundError(f"{path}: there is no such file; leave its case out")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError:
        shutil.copyfile(path, target)
