"""Batched augmentation against MONAI's per-sample transforms, and torch's own resampling."""

import os
from collections.abc import Callable
from functools import partial
from itertools import count as counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from harness import Report, interleaved
from monai import transforms as mt
from torch.nn.functional import affine_grid, grid_sample

from medlight.augment.augment import Augment
from medlight.augment.intensity import Brightness, Contrast, Gamma, GaussianNoise
from medlight.augment.random import RandomStreams
from medlight.augment.spatial import Affine, Flip
from medlight.augment.warp import warp
from medlight.datasets.mednist import MedNISTDataModule
from medlight.transforms.radiograph import Radiograph

ROUNDS, IN_A_ROW = 9, 8
DEGREES, SCALE, SHIFT = 15, [0.87, 1.15], 0.05
SHAPES = {(64, 64): (64, 256), (40, 56, 40): (4,)}
"""Of images, and how many in a batch."""
WANTED = {2: ">= 40", 3: ">= 1.8"}
EVERYTHING = Augment(
    spatial={
        "flip": Flip(probability=1, axes="left-right"),
        "affine": Affine(rotate_degrees=DEGREES, scale=SCALE, translate=SHIFT),
    },
    intensity={
        "brightness": Brightness(shift=0.2),
        "contrast": Contrast(multiplier=[0.8, 1.25]),
        "gamma": Gamma(gamma=[0.77, 1.3]),
        "noise": GaussianNoise(std=[0.0, 0.1]),
    },
)
TUTORIAL = Augment(  # of MONAI's mednist_tutorial
    spatial={
        "flip": Flip(probability=0.5, axes="left-right"),
        "rotate": Affine(probability=0.5, rotate_degrees=15),
        "zoom": Affine(probability=0.5, scale=[0.9, 1.1]),
    }
)


def monai_chain(shape: tuple[int, ...]) -> mt.Compose:
    """What EVERYTHING does, in MONAI's words, each with probability 1."""
    n, both = len(shape), ["image", "mask"]
    return mt.Compose(
        [
            mt.RandFlipd(both, prob=1.0, spatial_axis=0 if n == 3 else 1),
            mt.RandAffined(
                both,
                prob=1.0,
                rotate_range=[np.radians(DEGREES)] * (3 if n == 3 else 1),
                scale_range=[0.15] * n,
                translate_range=[SHIFT * size for size in shape],
                mode=("bilinear", "nearest"),
                padding_mode=("border", "zeros"),
            ),
            mt.RandStdShiftIntensityd("image", factors=0.2, prob=1.0),
            mt.RandScaleIntensityFixedMeand("image", factors=0.2, prob=1.0),
            mt.RandAdjustContrastd("image", prob=1.0, gamma=(0.77, 1.3)),
            mt.RandGaussianNoised("image", prob=1.0, std=0.1),
        ]
    )


def batched(report: Report, shape: tuple[int, ...], count: int) -> None:
    """Affine, flip and intensities of image and mask, each with probability 1."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(count, 1, *shape, generator=generator)
    mask = torch.randint(0, 3, (count, 1, *shape), generator=generator, dtype=torch.uint8)
    batch = {"image": image, "mask": mask, "position": torch.arange(count)}
    chain = monai_chain(shape)
    samples = [{"image": i, "mask": m} for i, m in zip(image, mask, strict=True)]
    epoch = counter()
    what = f"{count} x {'x'.join(map(str, shape))}"
    ours, theirs = f"{what}, medlight", f"{what}, MONAI"
    timings = interleaved(
        {
            ours: lambda: EVERYTHING(batch, seed=0, epoch=next(epoch))["mask"].long(),
            theirs: lambda: [chain(sample) for sample in samples],
        },
        rounds=ROUNDS,
        calls={ours: IN_A_ROW, theirs: 1},
    )
    report.add_timings(timings)
    wanted = WANTED[len(shape)]
    report.add_ratio(f"{what}: faster than MONAI", timings, theirs, ours, wanted=wanted)


def resampling(report: Report, shape: tuple[int, ...], count: int) -> None:
    """Our resampling of image and mask against torch's affine_grid and grid_sample."""
    image = torch.randn(count, 1, *shape)
    mask = torch.randint(0, 3, image.shape)
    rng = RandomStreams(seed=0, epoch=0, position=torch.arange(count))
    transform = EVERYTHING.transform({"image": image}, rng)
    linear, offset = (torch.from_numpy(a).float() for a in (transform.linear, transform.offset))
    half = torch.tensor(shape) / 2
    theta = torch.cat(
        [
            (linear * half / half[:, None]).flip(1, 2),
            (torch.from_numpy(transform.shift).float() / half).flip(1)[:, :, None],
        ],
        2,
    )

    def torchs() -> tuple[torch.Tensor, torch.Tensor]:
        grid = affine_grid(theta, list(image.shape), align_corners=False)
        values = grid_sample(image, grid, padding_mode="border", align_corners=False)
        labels = grid_sample(mask.float(), grid, mode="nearest", align_corners=False)
        return values, labels.long()

    ours, theirs = warp(image, mask, linear, offset), torchs()
    what = f"{count} x {'x'.join(map(str, shape))} resampled"
    one, other = f"{what}, medlight", f"{what}, torch"
    sides: dict[str, Callable[[], object]] = {
        one: lambda: warp(image, mask, linear, offset),
        other: torchs,
    }
    timings = interleaved(sides, rounds=ROUNDS, calls=IN_A_ROW)
    report.add_timings(timings)
    report.add_ratio(f"{what}: faster than torch", timings, other, one, wanted="")
    report.add(f"{what}: largest difference", float((ours[0] - theirs[0]).abs().max()), "")
    differ = 100 * float((ours[1] != theirs[1]).float().mean())
    report.add(f"{what}: labels that differ", differ, "%")


def mednist(report: Report, root: Path, scratch: Path) -> None:
    """From the file, or from the loader of a training run, to an augmented batch."""
    data = MedNISTDataModule(
        root=root, cache=scratch, transforms=Radiograph(), batch_size=128, epoch_samples=1280
    )
    data.exclude = data.index().ids[4096:]  # what a run holds in memory, less of it
    theirs = 64
    files = [str(data.cases[row].files["image"].path) for row in range(theirs)]
    chain = mt.Compose(
        [
            mt.LoadImage(image_only=True),
            mt.EnsureChannelFirst(),
            mt.ScaleIntensity(),
            mt.RandRotate(range_x=np.pi / 12, prob=0.5, keep_size=True),
            mt.RandFlip(spatial_axis=0, prob=0.5),
            mt.RandZoom(min_zoom=0.9, max_zoom=1.1, prob=0.5),
        ]
    )
    epoch = counter()

    def loaded(augment: Augment) -> None:
        turn = next(epoch)
        loader: Any = data.train_dataloader()
        loader.batch_sampler.set_epoch(turn)
        for batch in loader:
            augment(batch, seed=0, epoch=turn)

    slow = "MedNIST, MONAI's tutorial chain"
    sides: dict[str, Callable[[], object]] = {
        slow: lambda: torch.stack([chain(file) for file in files]),
        "MedNIST, the same augmentation, medlight": partial(loaded, TUTORIAL),
        "MedNIST, affine, flip, intensities, medlight": partial(loaded, EVERYTHING),
    }
    timings = interleaved(sides, rounds=ROUNDS)
    samples = {side: theirs if side == slow else 1280 for side in sides}
    speed = {side: samples[side] / timings[side].median for side in sides}
    for side, value in speed.items():
        report.add(side, value, "samples/s")
        if side != slow:
            bound = ">= 60" if "same" in side else ""
            report.add(f"{side}: faster than MONAI", value / speed[slow], "x", wanted=bound)


def main() -> None:
    torch.set_num_threads(1)
    report = Report("augment")
    for shape, counts in SHAPES.items():
        for count in counts:
            batched(report, shape, count)
        resampling(report, shape, counts[0])
    if root := os.environ.get("MEDLIGHT_DATA"):
        with TemporaryDirectory() as scratch:
            mednist(report, Path(root), Path(scratch))
    report.finish()


if __name__ == "__main__":
    main()
