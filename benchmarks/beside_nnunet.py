"""Predicting files beside nnU-Net: images to masks on the disk, CPU seconds a case, untrained nets.

Hippocampus volumes, nnU-Net's own plan for them (windows of 40x56x40, 1 mm, no resampling) and its
architecture on both sides: its PlainConvUNet, MONAI's DynUNet with as many channels and layers.
Weights are untrained, which changes no time. nnU-Net computes in float32 on a CPU; it runs in an
environment of its own, whose python $NNUNET_PYTHON names, without worker processes, which would
only add to its time.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from harness import Report
from monai.networks.nets import DynUNet

from medlight.core.data_spec import DataSpec
from medlight.core.labels import Labels
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.locate import extract
from medlight.jobs.predict import predict
from medlight.losses.dice import SoftDice
from medlight.tasks.segmentation import SegmentationTask
from medlight.tasks.trained_model import TrainedModel
from medlight.transforms.volume import Volume

CASES, ROUNDS = 2, 2
SIDES = {"nnU-Net": None, "medlight": None, "medlight, bf16": torch.bfloat16}
WAYS = ("as it is", "8 reflections")
NET = partial(
    DynUNet, kernel_size=[3] * 4, strides=[1, 2, 2, 2], upsample_kernel_size=[2] * 3,
    filters=[32, 64, 128, 256], norm_name="instance",
)  # fmt: skip


def ours(images: Path, output: Path, precision: torch.dtype | None) -> dict[str, float]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    labels = Labels(("background", "Anterior", "Posterior"), "mask")
    spec = DataSpec(3, 1, labels, patch=(40, 56, 40), mirror_axes=(0, 1, 2), modality=("MRI",))
    task = SegmentationTask(net=NET, spec=spec, loss=SoftDice()).eval().requires_grad_(False)
    model = TrainedModel(
        name="untrained", digest="", task=task, transforms=Volume(), recipe={},
        device=torch.device("cpu"), precision=precision,
    )  # fmt: skip
    found = {"parameters": float(sum(p.numel() for p in task.net.parameters()))}
    files = sorted(images.glob("*.nii.gz"))
    for way in WAYS:
        run = partial(
            predict, runs=[Path("untrained")], load=lambda run, checkpoint: model,
            inference=SlidingWindow(tta=way == WAYS[1]),
        )  # fmt: skip
        run(input=files[0], output=output / f"warm {way}")
        start = time.process_time()
        run(input=images, output=output / way)
        found[way] = (time.process_time() - start) / len(files)
    return found


def side(name: str, images: Path, output: Path) -> dict[str, float]:
    """One side in a process of its own."""
    own = [sys.executable, __file__, name, str(images), str(output)]
    script = Path(__file__).with_name("nnunet_side.py")
    theirs = [os.environ["NNUNET_PYTHON"], str(script), str(images), str(output)]
    words = theirs if name == "nnU-Net" else own
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" or words is own}
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    if len(sys.argv) > 1:
        name, images, output = sys.argv[1:]
        print(json.dumps(ours(Path(images), Path(output), SIDES[name])))
        return
    if not {"MEDLIGHT_DATA", "NNUNET_PYTHON"} <= os.environ.keys():
        print("not measured: set MEDLIGHT_DATA, and NNUNET_PYTHON to a python with nnunetv2")
        return
    report = Report("beside_nnunet")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        extract(Path(os.environ["MEDLIGHT_DATA"]) / "Task04_Hippocampus.tar", folder / "data")
        found = sorted((folder / "data").rglob("imagesTr/hippocampus_*.nii.gz"))
        for file in found[:: len(found) // CASES][:CASES]:
            file.rename(folder / "images" / file.name.replace(".nii.gz", "_0000.nii.gz"))
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
        for turn in range(ROUNDS):
            for each in SIDES:
                output = folder / f"{each} {turn}"
                output.mkdir()
                rounds[each].append(side(each, folder / "images", output))
    for each in SIDES:
        report.add(f"{each}: parameters of the net, untrained", rounds[each][0]["parameters"], "")
    for way in WAYS:
        seconds = {each: [turn[way] for turn in rounds[each]] for each in SIDES}
        medians = {each: statistics.median(some) for each, some in seconds.items()}
        for each, some in seconds.items():
            spread = {"minimum": min(some), "maximum": max(some)}
            report.add(f"{way}, a case, {each}", medians[each], "s CPU", **spread)
        for each in list(SIDES)[1:]:
            share = medians[each] / medians["nnU-Net"]
            report.add(f"{way}, {each}: share of nnU-Net's time", share, "x", wanted="<= 0.5")
    report.finish()


if __name__ == "__main__":
    main()
