"""Read what `run.py` predicts, as the training did, and say what is odd about it."""

import gzip
import io
import itertools
import re
import sys
from typing import Any

import numpy as np

NUMBERED = re.compile(r"(.+)_(\d{4})(\.nii\.gz|\.[^.]+)", re.IGNORECASE)


def case_name(path):
    """Without the suffix, and without the number of a channel."""
    match = NUMBERED.fullmatch(path.name)
    return match[1] if match else re.sub(r"(\.nii\.gz|\.[^.]+)$", "", path.name, flags=re.I)


def read_image(path, wanted):
    """(C, *S) float32, affine in mm, header (None: a picture) and what is odd about the file."""
    image, affine, header, notes = read_file(path)
    channels = wanted["channels"]
    if NUMBERED.fullmatch(path.name) and len(image) < channels:
        paths = channel_files(path, channels)
        parts = [read_file(each) for each in paths]
        image, affine, header, notes = parts[0]
        for each, (other, place, *_) in zip(paths, parts, strict=True):
            shape, size = image.shape[1:], np.linalg.norm(affine[:3, : image.ndim - 1], axis=0)
            if other.shape[1:] != shape or gap(shape, affine, place) > size.min() / 10:
                sys.exit(f"{each} does not lie on the grid of {paths[0].name}; resample it")
        image = np.concatenate([part[0] for part in parts])
    if image.ndim == 3 and (len(image), channels) == (3, 1):
        if np.ptp(image, axis=0).max() > 32 / 255:
            notes = [*notes, ": it is in colour, and the net sees its luminance"]
        red, green, blue = np.rint(255 * image).astype(np.int32)
        grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
        image = np.divide(grey, 255, dtype=np.float32)[None]
    elif image.ndim == 3 and (len(image), channels) == (1, 3):
        image = image.repeat(3, 0)
    if (len(image), image.ndim - 1) != (channels, wanted["spatial_dims"]):
        sys.exit(f"{path}: {len(image)} channels, {image.ndim - 1} axes; the net takes {wanted}")
    if not np.isfinite(image).all():
        sys.exit(f"{path}: it holds values that are not finite")
    return image, affine, header, notes


def channel_files(path, channels):
    """<case>_0000, <case>_0001, ...: as many as the net has channels, without a gap."""
    named: Any = NUMBERED.fullmatch(path.name)
    case, _, suffix = named.groups()
    found = {}
    for each in path.absolute().parent.iterdir():
        match = NUMBERED.fullmatch(each.name)
        if match and (match[1], match[3]) == (case, suffix):
            found[match[2]] = each
    if sorted(found) != [f"{number:04d}" for number in range(channels)]:
        there = ", ".join(sorted(found))
        sys.exit(f"{path}: the net takes {channels} channels, but {case} has {there}")
    return [found[number] for number in sorted(found)]


def gap(shape, one, other):
    """mm between two places of the same corner voxel, at most."""
    corners = itertools.product(*[(0, n - 1) for n in shape], *[(0,)] * (3 - len(shape)), (1,))
    return np.linalg.norm((np.array(list(corners)) @ (one - other).T)[:, :3], axis=1).max()


def oddities(image, affine, training):
    """How an image, as the net sees it, differs from those of the training."""
    low, high = training.get("spacing_low_mm"), training.get("spacing_high_mm")
    size = np.linalg.norm(affine[:3, :3], axis=0)[-len(low or affine) :]  # of slices, within them
    if (
        low
        and image.ndim == 4
        and ((size < np.divide(low, 1.5)) | (size > np.multiply(high, 1.5))).any()
    ):
        trained = told(low) if low == high else f"{told(low)} to {told(high)}"
        yield (
            f" ({told(size)}): its voxel size is far from those of the training, {trained}; "
            "resample it, or train with transforms.spacing_mm"
        )
    dark, bright = training.get("brightest") or (0, 0)
    largest = float(image.max())
    if (dark > 0 and largest * 8 < dark) or 0 < bright * 8 < largest:
        yield (
            f" ({largest:.3g}): its largest value is far from those of the training, {dark:.3g} to "
            f"{bright:.3g} as the net sees them; are its numbers scaled otherwise?"
        )


def told(spacing):
    return " x ".join(f"{size:.3g}" for size in spacing) + " mm"


def read_file(path):
    """The image of one file, its affine, its header, and what reading had to guess."""
    nifti = path.name.lower().endswith((".nii", ".nii.gz"))
    if path.name.lower().endswith((".nrrd", ".nhdr", ".mha", ".mhd")):
        sys.exit(f"{path}: this folder reads NIfTI and pictures; medlight predict reads this, too")
    return (read_nifti if nifti else read_picture)(path)


def read_nifti(path):
    """The first usable of sform, qform and voxel size; metre and micron are turned into mm."""
    import nibabel

    content = path.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    second = 540 in (int.from_bytes(content[:4], end) for end in ("little", "big"))
    file: Any = (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_bytes(content)
    header, shape = file.header, file.shape
    if header.get_data_dtype().kind not in "iuf" or file.dataobj.offset < header["sizeof_hdr"]:
        sys.exit(f"{path}: its numbers or its header are of a kind that is not supported")
    shape = (*shape[:3], shape[4]) if len(shape) == 5 and shape[3] == 1 else shape
    if len(shape) not in (2, 3, 4):
        sys.exit(f"{path}: expected (X, Y, Z) or (X, Y, Z, channels), got {shape}")
    values = np.asarray(file.dataobj).astype(np.float32).reshape(shape)
    values = np.moveaxis(values, -1, 0) if len(shape) == 4 else values[None]
    number, base = place(header, path)
    raw = type(header)(content[: header["sizeof_hdr"]], check=False)["pixdim"]
    guessed = number > 0 and not raw[1 : values.ndim].all()
    notes = [": its header gives a voxel size of 0, which is read as 1 mm"] if guessed else []
    return values, np.diag([mm(header)] * 3 + [1]) @ base, header, notes


def forms(header):
    """sform, qform and voxel sizes, or None: voxel index to the file's unit of length."""
    sform = header.get_sform(coded=True)[0]
    try:
        return sform, header.get_qform(coded=True)[0], header.get_base_affine()
    except ValueError:  # a broken quaternion
        return sform, None, None if int(header["qform_code"]) else header.get_base_affine()


def place(header, path):
    """Which of the forms is the first that can be used, and that form."""
    for number, form in enumerate(forms(header)):
        size = np.inf if form is None else np.linalg.norm(form[:3, :3], axis=0).prod()
        if size < np.inf and abs(np.linalg.det(form)) > 1e-6 * size:
            return number, form
    return sys.exit(f"{path}: its header gives no usable voxel size, sform or qform")


def mm(header):
    return {1: 1000.0, 3: 0.001}.get(int(header["xyzt_units"]) & 7, 1.0)


def read_picture(path):
    """(C, H, W) upright, grey or red, green and blue: 8 and 16 bits in [0, 1]."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None
    content = path.read_bytes()
    try:
        file: Any = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        sys.exit(f"{path}: it is neither a NIfTI file nor a picture of a kind that is supported")
    tags, kind = getattr(file, "tag_v2", {}), file.mode
    bits, form, white = (tags.get(tag) for tag in (258, 339, 262))
    grey = kind in ("L", "I", "F") or kind.startswith("I;16")
    deep = (file.format == "PNG" and content[24] == 16) or max(bits or (8,)) > 8
    if getattr(file, "n_frames", 1) > 1 or (deep and not grey):
        sys.exit(f"{path}: several pictures in one file, or 16 bits a colour, are not supported")
    covered = sum((right - left) * (low - top) for _, (left, top, right, low), *_ in file.tile)
    planes = tags.get(277, 1) if tags.get(284) == 2 and file.tile[0][0] == "raw" else 1
    if tags and covered < file.width * file.height * planes:
        sys.exit(f"{path}: it holds {covered} of its {file.width} x {file.height} pixels")
    picture: Any = ImageOps.exif_transpose(file)
    plain = picture if grey else picture.convert("L" if kind in ("1", "LA", "La") else "RGB")
    values = np.asarray(plain)
    if kind in ("P", "PA") and (values == values[..., :1]).all():
        values = values[..., 0]
    values = ~values if white == 0 and kind in ("L", "1") else values  # Pillow turns these alone
    most = 1 if kind in ("I", "F") else 65535 if kind.startswith("I;16") else 255
    values, most = (values.view(np.int8), 1) if (kind, form) == ("L", (2,)) else (values, most)
    values = values.view(np.uint32) if kind == "I" and form != (2,) and bits == (32,) else values
    image = np.moveaxis(np.divide(np.atleast_3d(values), most, dtype=np.float32), -1, 0)
    return image, np.eye(4), None, []
