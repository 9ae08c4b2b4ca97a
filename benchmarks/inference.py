"""Memory of sliding windows: medlight against MONAI, each side in a process of its own.

A drawn volume of 256x256x128 voxels, 14 classes, windows of 96^3 that overlap by half, MONAI's
UNet after a short training. Memory is the most that a process ever held (ru_maxrss), less what it
held (VmRSS) when the net and the image were loaded and nothing had gone through the net. MONAI
takes four windows at once, as its tutorials do; medlight takes one on a CPU. MONAI with one window
is told, too: of its memory, the logits of the whole image take half and the net at work most of the
rest. Who needs labels, or logits on another grid, takes them slab by slab, as predictions do; they
are written to the disk here, and compared.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from harness import Report, resident_mb
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.networks.nets import UNet

from medlight.inference.sliding_window import LabelMap, SlidingWindow

SHAPE, WINDOW, CLASSES = (256, 256, 128), (96, 96, 96), 14
STEPS = 60
MONAI = "MONAI, 4 windows at once"
ONE, SLABS = "MONAI, 1 window at once", "medlight, slab by slab"
SIDES = (MONAI, ONE, SLABS, "the net alone")


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ellipsoids of 13 kinds on noise: an image and its labels."""
    random = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint8)
    axes = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij", sparse=True)
    for _ in range(40):
        centre, radius = random.uniform(0, SHAPE), random.uniform(8, 40, 3)
        inside = sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radius, strict=True)) < 1
        labels[inside] = random.integers(1, CLASSES)
    image = labels / 4 + random.normal(0, 0.3, SHAPE)
    return image.astype(np.float32), labels


def build() -> torch.nn.Module:
    return UNet(
        spatial_dims=3, in_channels=1, out_channels=CLASSES,
        channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2), num_res_units=2,
    )  # fmt: skip


def train(folder: Path) -> None:
    torch.manual_seed(0)
    image, labels = draw(1)
    net, loss = build(), DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    random = np.random.default_rng(0)
    for _ in range(STEPS):
        corners = [random.integers(0, n - 64) for n in SHAPE]
        place = tuple(slice(c, c + 64) for c in corners)
        crop = torch.from_numpy(image[place])[None, None]
        target = torch.from_numpy(labels[place].astype(np.int64))[None, None]
        optimizer.zero_grad()
        value = loss(net(crop), target)
        value.backward()
        optimizer.step()
    print(f"trained {STEPS} steps, loss {value.item():.3f}")
    torch.save(net.state_dict(), folder / "net.pt")
    np.save(folder / "image.npy", draw(2)[0])


def held_mb() -> float:
    """What this process holds now."""
    [line] = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in x]
    return int(line.split()[1]) / 2**10


@torch.inference_mode()
def infer(side: str, folder: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    net = build()
    net.load_state_dict(torch.load(folder / "net.pt", weights_only=True))
    net.eval()
    image = torch.from_numpy(np.load(folder / "image.npy"))[None]
    baseline, start = held_mb(), time.process_time()
    if side.startswith("MONAI"):
        count = 4 if side == MONAI else 1
        result = sliding_window_inference(
            image[None], WINDOW, count, net, overlap=0.5, mode="gaussian"
        )[0]
    elif side == SLABS:
        slabs = SlidingWindow().slabs(image, net, WINDOW)
        found = LabelMap(SHAPE, slabs.axis)
        for number, part in enumerate(slabs.parts):
            found.add(part)
            np.save(folder / f"part {number:02}.npy", part.numpy())
        (folder / "axis").write_text(str(slabs.axis))
        result = torch.from_numpy(found.labels)
    else:
        for _ in range(2):
            result = net(image[None, :, :96, :96, :96])
    took, peak = time.process_time() - start, resident_mb()
    np.save(folder / f"{side}.npy", result.numpy())
    return {"above_mb": peak - baseline, "peak_mb": peak, "cpu_s": took}


def main() -> None:
    if len(sys.argv) > 2:
        print(json.dumps(infer(sys.argv[1], Path(sys.argv[2]))))
        return
    report = Report("inference")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train(folder)
        found = {}
        for side in SIDES:
            words = [sys.executable, __file__, side, name]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            found[side] = json.loads(done.stdout.splitlines()[-1])
            report.add(f"{side}: memory", found[side]["above_mb"], "MB")
            report.add(f"{side}: the whole process", found[side]["peak_mb"], "MB")
            report.add(f"{side}: time", found[side]["cpu_s"], "s CPU")
        for what, key, bound in (
            ("memory", "above_mb", "<= 0.5"),
            ("the whole process", "peak_mb", ""),
        ):
            share = found[SLABS][key] / found[MONAI][key]
            report.add(f"{SLABS}: share of MONAI's {what}", share, "x", wanted=bound)
        for side, bound in {SLABS: "<= 0.65", "the net alone": ""}.items():
            share = found[side]["above_mb"] / found[ONE]["above_mb"]
            report.add(f"{side}: share of MONAI's memory with 1 window", share, "x", wanted=bound)
        theirs = np.load(folder / f"{MONAI}.npy", mmap_mode="r")
        place, axis = 0, int((folder / "axis").read_text())
        largest = 0.0
        for part in map(np.load, sorted(folder.glob("part *.npy"))):
            planes = part.shape[axis + 1]
            there = np.take(theirs, range(place, place + planes), axis + 1)
            largest, place = max(largest, float(np.abs(part - there).max())), place + planes
        report.add(f"{SLABS}: largest difference of a logit", largest, "", wanted="< 0.001")
        labels = theirs.argmax(0)
        equal = 100 * float((np.load(folder / f"{SLABS}.npy") == labels).mean())
        report.add(f"{SLABS}: labels equal to MONAI's", equal, "%", wanted=">= 99.99")
        report.add("classes that are predicted", len(np.unique(labels)), "")
    report.finish()


if __name__ == "__main__":
    main()
