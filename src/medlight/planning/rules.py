"""From a fingerprint to settings, each with its reason."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from medlight.core.errors import ConfigError
from medlight.data.patch import AUTO_PATCH_VOXELS
from medlight.data.sizes import recommend_size
from medlight.planning.fingerprint import DatasetFingerprint
from medlight.planning.geometry import (
    PatchPlan,
    choose_patch,
    pooling_strides,
    resampled_shape,
    target_spacing,
)
from medlight.planning.memory_estimate import PlannedDevice, estimate_training_bytes

PlanFile = Literal["data", "transforms", "model", "experiment"]
MIN_BATCH_SIZE = 2
"""Learns more per minute than 4 on a CPU, and is the least nnU-Net allows on a GPU."""
MAX_BATCH_FRACTION = 0.05
"""Of all training voxels, the most that one batch may hold (nnU-Net)."""
STEPS_PER_EPOCH = 75
"""Optimizer steps in an epoch, so that a score comes every minute or so."""
EPOCHS = {2: 10, 3: 50}


@dataclass(frozen=True, slots=True)
class PlannedSetting:
    """One setting.

    Attributes:
        file: which of the planned files it stands in.
        key: dotted, below that file's group; of an experiment, below the root. "base" names the
            option that the file starts from.
        value: what yaml can hold.
        reason: half a sentence.
    """

    file: PlanFile
    key: str
    value: Any
    reason: str


def plan(fingerprint: DatasetFingerprint, device: PlannedDevice) -> list[PlannedSetting]:
    """Choose settings for the task that the labels ask for.

    Args:
        fingerprint: the training cases in figures.
        device: what the plan is for.

    Returns:
        The settings, each with its file and its reason.

    Raises:
        ConfigError: no rules are known for labels of this kind.
    """
    labels = fingerprint.labels
    if labels.numeric:
        raise ConfigError(
            f"medlight plan knows no task for data with {labels.describe()}: write one, see "
            "docs/new_task.md"
        )
    if not labels.per_voxel:
        return _plan_classification(fingerprint, device)
    if fingerprint.spatial_dims == 2 and not fingerprint.slices:
        return _plan_images(fingerprint, device)
    return _plan_volumes(fingerprint, device)


def normalisation(f: DatasetFingerprint, transforms: str) -> str:
    """Say in half a sentence how intensities become the net's input; known of `volume` alone."""
    if transforms != "volume":
        return "what the data start from"
    from medlight.transforms.volume import is_ct

    ct = [name for name in f.modality if is_ct(name)]
    others = "every volume to mean 0 and standard deviation 1"
    if not ct:
        return f"{others}: no common unit"
    clipped = "CT is clipped to a window and scaled to [0, 1]"
    return clipped if len(ct) == f.channels else f"{clipped}, of other channels {others}"


def _plan_volumes(f: DatasetFingerprint, device: PlannedDevice) -> list[PlannedSetting]:
    from medlight.transforms.slices import spacing_in_ras
    from medlight.transforms.volume import is_ct

    spacing, coarse = target_spacing(f.spacings_mm, f.shapes)
    shape = resampled_shape(f.shapes, f.spacings_mm, spacing)
    patch = choose_patch(tuple(shape), spacing, partial(_fits, fingerprint=f, device=device))
    whole = all(n >= m for n, m in zip(patch.shape, shape, strict=True))
    middle = " x ".join(f"{n:.0f}" for n in shape)
    halvings = " x ".join(str(n) for n in np.log2(np.prod(patch.strides, axis=0)).astype(int))
    batch = _batch_size(
        patch, f, device, float(shape.prod()), least=16 if f.slices else MIN_BATCH_SIZE
    )
    settings = [
        PlannedSetting(
            "transforms",
            "spacing_mm",
            spacing_in_ras(spacing, f.slices) if f.slices else list(spacing),
            "median within slices; across them each volume keeps its own"
            if f.slices
            else "median; 10th percentile along the coarse axis, so that fewer slices are invented"
            if coarse
            else "median of the training cases",
        ),
        PlannedSetting(
            "data",
            "patch",
            list(patch.shape),
            f"the median case ({middle}), rounded up for {halvings} halvings"
            if whole
            else f"of the median case ({middle}), what {device.name} can take in a batch "
            f"of {MIN_BATCH_SIZE}",
        ),
        PlannedSetting("data", "batch_size", batch, _batch_reason(batch, device)),
        *_net_settings(f, patch, device),
        *_training_settings(f, batch),
    ]
    if any(map(is_ct, f.modality)) and f.foreground_percentiles is not None:
        channels = [is_ct(name) for name in f.modality]
        low, high = (
            f.foreground_percentiles[channels, 0].min(),
            f.foreground_percentiles[channels, 1].max(),
        )
        settings.insert(
            1,
            PlannedSetting(
                "transforms",
                "window_hu",
                [round(float(low)), round(float(high))],
                "0.5th and 99.5th percentile of Hounsfield units within the masks",
            ),
        )
    return settings


def _plan_images(f: DatasetFingerprint, device: PlannedDevice) -> list[PlannedSetting]:
    size, reason = _image_size(f, most=512)
    patch = PatchPlan(size, pooling_strides(size, (1.0, 1.0)))
    batch = _batch_size(patch, f, device, float(np.prod(size)), least=16)
    return [
        PlannedSetting("transforms", "size", list(size), reason),
        PlannedSetting("data", "batch_size", batch, _batch_reason(batch, device)),
        *_net_settings(f, patch, device),
        *_training_settings(f, batch),
    ]


def _plan_classification(f: DatasetFingerprint, device: PlannedDevice) -> list[PlannedSetting]:
    size, reason = _image_size(f, most=224)
    small = max(size) <= 64
    batch = 64
    epochs = int(np.clip(round(36_000 / f.images), 3, 50))
    loss, metric = "masked_bce", "val/auroc"
    if f.labels.exclusive:
        loss, metric = "cross_entropy", "val/accuracy"
    return [
        PlannedSetting(
            *(("data", "patch") if f.slices else ("transforms", "size")), list(size), reason
        ),
        PlannedSetting("data", "batch_size", batch, "what the shipped recipes use"),
        PlannedSetting(
            "model",
            "base",
            "resnet_fast" if small else "densenet121",
            "small images need no deep net" if small else "a strong standard for radiographs",
        ),
        PlannedSetting("experiment", "task", f.labels.suggested_task, f.labels.describe()),
        PlannedSetting("experiment", "loss", loss, f.labels.describe()),
        PlannedSetting("experiment", "metric", metric, "what chooses the best checkpoint"),
        *_flip_settings(f),
        PlannedSetting("experiment", "optimizer.lr", 1e-3, "what the shipped recipes use"),
        PlannedSetting(
            "experiment",
            "trainer.max_epochs",
            epochs,
            f"so that about {epochs * f.images:,} images are seen",
        ),
    ]


def _net_settings(
    f: DatasetFingerprint, patch: PatchPlan, device: PlannedDevice
) -> list[PlannedSetting]:
    channels = _channels(patch, device)
    strides = [s[0] if len(set(s)) == 1 else list(s) for s in patch.strides]
    return [
        PlannedSetting(
            "model", "base", "unet3d" if f.spatial_dims == 3 else "unet2d", "a residual UNet"
        ),
        PlannedSetting("model", "channels", channels, "doubled with each halving"),
        PlannedSetting(
            "model",
            "strides",
            strides,
            "coarse axes are halved later"
            if any(isinstance(s, list) for s in strides)
            else "until an axis would keep fewer than 4 voxels",
        ),
    ]


def _training_settings(f: DatasetFingerprint, batch: int) -> list[PlannedSetting]:
    return [
        PlannedSetting(
            "data",
            "epoch_samples",
            STEPS_PER_EPOCH * batch,
            f"{STEPS_PER_EPOCH} steps an epoch, whatever the number of cases",
        ),
        PlannedSetting("experiment", "augment", "standard", "few cases, many epochs"),
        *(_flip_settings(f) or [_MIRROR]),
        PlannedSetting("experiment", "optimizer", "muon", "as far after 4 epochs as AdamW after 12")
        if f.spatial_dims == 3
        else PlannedSetting("experiment", "optimizer.lr", 3e-3, "for AdamW with warm-up"),
        PlannedSetting(
            "experiment", "trainer.max_epochs", EPOCHS[f.spatial_dims], "the shipped recipe's"
        ),
    ]


_MIRROR = PlannedSetting(
    "experiment", "inference.tta", True, "answers for both sides are averaged, as both are learnt"
)


def _flip_settings(f: DatasetFingerprint) -> list[PlannedSetting]:
    words = {name: re.findall(r"[^\W_]+", name.lower()) for name in f.labels.names}
    sided = [name for name in words if {"left", "right"} & {*words[name]}]
    if not sided:
        return []
    reason = f"{sided[0]} tells left from right"
    return [PlannedSetting("experiment", "augment.spatial.flip.probability", 0.0, reason)]


def _image_size(f: DatasetFingerprint, *, most: int) -> tuple[tuple[int, ...], str]:
    """One size for images, in multiples of 16."""
    middle = np.median(f.source_shapes, axis=0)
    text = " x ".join(f"{n:.0f}" for n in middle)
    shrunk = f", shrunk to {most}" if most < middle.max() else ""
    reason = f"median of the training images ({text}){shrunk}, in multiples of 16"
    return recommend_size(f.source_shapes, most=most), reason


def _channels(patch: PatchPlan, device: PlannedDevice) -> list[int]:
    first, most = (32, 320) if device.gpu else (16, 256)
    return [min(first * 2**level, most) for level in range(len(patch.strides) + 1)]


def _bytes(patch: PatchPlan, batch: int, f: DatasetFingerprint, device: PlannedDevice) -> int:
    from monai.networks.nets import UNet

    net = partial(
        UNet,
        spatial_dims=f.spatial_dims,
        in_channels=f.channels,
        out_channels=len(f.labels),
        channels=_channels(patch, device),
        strides=patch.strides,  # type: ignore[arg-type]  # one for each axis is as good
        num_res_units=2,
    )
    return estimate_training_bytes(net, (batch, f.channels, *patch.shape))


def _fits(patch: PatchPlan, *, fingerprint: DatasetFingerprint, device: PlannedDevice) -> bool:
    """On a CPU time is short before memory is."""
    if not device.gpu and np.prod(patch.shape) > AUTO_PATCH_VOXELS:
        return False
    return _bytes(patch, MIN_BATCH_SIZE, fingerprint, device) <= device.memory


def _batch_size(
    patch: PatchPlan,
    f: DatasetFingerprint,
    device: PlannedDevice,
    voxels: float,
    least: int = MIN_BATCH_SIZE,
) -> int:
    """`least` on a CPU; on a GPU as many as fit, but no more than a share of the data."""
    most = int(MAX_BATCH_FRACTION * f.images * voxels / np.prod(patch.shape))
    batch = least
    while device.gpu and batch < most and _bytes(patch, batch + 1, f, device) <= device.memory:
        batch += 1
    return batch


def _batch_reason(batch: int, device: PlannedDevice) -> str:
    if not device.gpu:
        return "small batches learn more per minute on a CPU"
    share = f"{MAX_BATCH_FRACTION:.0%}"
    return f"what {device.name} holds, at most {share} of all training voxels"
