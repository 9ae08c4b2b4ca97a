"""Batched augmentation against MONAI's per-sample transforms, and torch's own resampling.

    python benchmarks/augment.py

Interleaved (A B A B), one thread, CPU time, medians. Writes benchmarks/results/augment.json.
The MedNIST part needs the data: MEDLIGHT_DATA, or ./data.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import monai
import numpy as np
import torch
from monai import transforms as mt
from torch.nn.functional import affine_grid, grid_sample

from medlight.augment.augment import Augment
from medlight.augment.intensity import Brightness, Contrast, Gamma, Noise
from medlight.augment.random import Draws
from medlight.augment.spatial import Affine, Flip
from medlight.augment.warp import warp
from medlight.core.errors import DataNotFoundError
from medlight.data.dataset import CaseDataset, collate
from medlight.data.sampling import Draw
from medlight.datasets.mednist import MedNISTDataModule
from medlight.transforms.radiograph import Radiograph

RESULT = Path(__file__).parent / "results" / "augment.json"
ROUNDS, REPEATS = 9, 8
DEGREES, SCALE, SHIFT = 15, [0.87, 1.15], 0.05
EVERYTHING = Augment(
    spatial={
        "flip": Flip(probability=1, axes="left-right"),
        "affine": Affine(rotate_degrees=DEGREES, scale=SCALE, shift=SHIFT),
    },
    intensity={
        "brightness": Brightness(shift=0.2),
        "contrast": Contrast(factor=[0.8, 1.25]),
        "gamma": Gamma(power=[0.77, 1.3]),
        "noise": Noise(strength=[0.0, 0.1]),
    },
)
TUTORIAL = Augment(  # of MONAI's mednist_tutorial
    spatial={
        "flip": Flip(probability=0.5, axes="left-right"),
        "rotate": Affine(probability=0.5, rotate_degrees=15),
        "zoom": Affine(probability=0.5, scale=[0.9, 1.1]),
    }
)


def cpu_ms(sides: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, Any]:
    """CPU milliseconds of each side: median, least and most; the first round is not counted.

    All but MONAI run REPEATS times in a row, so that either side is in its stride.
    """
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for counted in range(-1, rounds):
        for name, side in sides.items():
            repeats = 1 if name.startswith("monai") else REPEATS
            start = time.process_time()
            for _ in range(repeats):
                side()
            if counted >= 0:
                taken[name].append(1e3 * (time.process_time() - start) / repeats)
    return {
        name: {
            "median": round(statistics.median(values), 3),
            "min": round(min(values), 3),
            "max": round(max(values), 3),
        }
        for name, values in taken.items()
    }


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


def batched(shape: tuple[int, ...], count: int) -> dict[str, Any]:
    """Affine + flip + intensity of image and mask, probability 1."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(count, 1, *shape, generator=generator)
    mask = torch.randint(0, 3, (count, 1, *shape), generator=generator)
    batch = {"image": image, "mask": mask, "draw": torch.arange(count)}
    chain = monai_chain(shape)
    samples = [{"image": i, "mask": m} for i, m in zip(image, mask, strict=True)]
    epoch = iter(range(10**6))
    taken = cpu_ms(
        {
            "medlight": lambda: EVERYTHING(batch, seed=0, epoch=next(epoch)),
            "monai": lambda: [chain(sample) for sample in samples],
        }
    )
    ratio = taken["monai"]["median"] / taken["medlight"]["median"]
    return {"shape": shape, "batch": count, "cpu_ms": taken, "times_faster": round(ratio, 1)}


def resampling(shape: tuple[int, ...], count: int) -> dict[str, Any]:
    """Our resampling of image and mask against torch's affine_grid and grid_sample."""
    image = torch.randn(count, 1, *shape)
    mask = torch.randint(0, 3, image.shape)
    draws = Draws(seed=0, epoch=0, draw=torch.arange(count))
    motion = EVERYTHING.motion({"image": image}, draws)
    linear, offset = (torch.from_numpy(a).float() for a in (motion.linear, motion.offset))
    half = torch.tensor(shape) / 2
    theta = torch.cat(
        [
            (linear * half / half[:, None]).flip(1, 2),
            (torch.from_numpy(motion.shift).float() / half).flip(1)[:, :, None],
        ],
        2,
    )

    def torchs() -> tuple[torch.Tensor, torch.Tensor]:
        grid = affine_grid(theta, list(image.shape), align_corners=False)
        values = grid_sample(image, grid, padding_mode="border", align_corners=False)
        labels = grid_sample(mask.float(), grid, mode="nearest", align_corners=False)
        return values, labels.long()

    ours, theirs = warp(image, mask, linear, offset), torchs()
    taken = cpu_ms({"medlight": lambda: warp(image, mask, linear, offset), "torch": torchs})
    ratio = taken["torch"]["median"] / taken["medlight"]["median"]
    return {
        "shape": shape,
        "batch": count,
        "cpu_ms": taken,
        "times_faster": round(ratio, 2),
        "largest_difference": float((ours[0] - theirs[0]).abs().max()),
        "labels_that_differ": float((ours[1] != theirs[1]).float().mean()),
    }


def mednist(root: Path) -> dict[str, Any] | None:
    """Samples a second, from file or memory to an augmented batch."""
    data = MedNISTDataModule(root=root)
    try:
        index = data.index()
    except DataNotFoundError:
        return None
    count, theirs = 128, 64
    rows = np.random.default_rng(0).permutation(len(index))[:2048]
    cases = index.subset([index[int(row)].id for row in rows])
    dataset = CaseDataset(cases, transforms=Radiograph(), memory_gb=1.0)
    held = torch.stack([dataset[row]["image"] for row in range(len(dataset))])
    held = (held * 255).round().to(torch.uint8)
    files = [str(cases[row].files["image"]) for row in range(theirs)]
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
    turn = iter(range(10**6))

    def stacked(augment: Augment) -> None:
        epoch = next(turn)
        draw = torch.arange(count)
        picked = torch.from_numpy(np.random.default_rng(epoch).integers(0, len(held), count))
        image = held[picked].float() / 255
        augment({"image": image, "draw": draw}, seed=0, epoch=epoch)

    def through_dataset(augment: Augment) -> None:
        epoch = next(turn)
        picked = np.random.default_rng(epoch).integers(0, len(held), count)
        samples = [dataset[Draw(int(row), epoch, draw)] for draw, row in enumerate(picked)]
        augment(collate(samples), seed=0, epoch=epoch)

    taken = cpu_ms(
        {
            "stacked, tutorial's augmentation": lambda: stacked(TUTORIAL),
            "monai tutorial": lambda: torch.stack([chain(file) for file in files]),
            "stacked, everything": lambda: stacked(EVERYTHING),
            "CaseDataset, tutorial's augmentation": lambda: through_dataset(TUTORIAL),
        }
    )
    sizes = {name: theirs if name.startswith("monai") else count for name in taken}
    speed = {name: sizes[name] * 1e3 / taken[name]["median"] for name in taken}
    return {
        "batch": count,
        "cpu_ms": taken,
        "samples_per_s": {name: round(value) for name, value in speed.items()},
        "times_monai": {
            name: round(value / speed["monai tutorial"], 1) for name, value in speed.items()
        },
    }


def hardware() -> str:
    """The processor's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    names = info.read_text().split("model name") if info.exists() else []
    return names[1].split("\n")[0].strip(" \t:") if len(names) > 1 else platform.processor()


def main() -> None:
    torch.set_num_threads(1)
    result = {
        "command": "python benchmarks/augment.py",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{hardware()}, one thread",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "monai": monai.__version__,
        },
        "affine, flip, intensity": [
            batched((64, 64), 64),
            batched((64, 64), 256),
            batched((40, 56, 40), 4),
        ],
        "resampling": [resampling((64, 64), 64), resampling((40, 56, 40), 4)],
        "mednist": mednist(Path(os.environ.get("MEDLIGHT_DATA", "data"))),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
