"""The memory of one large case: a CT of 512x512x600 voxels, 5 classes, from its file to its mask.

The figure is the most that the whole process ever held, imports included. Windows overlap by a
quarter to keep it short: memory does not depend on it.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from harness import Report, resident_mb
from monai.networks.nets import UNet

from medlight.core.data_spec import DataSpec
from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.nifti import write_nifti
from medlight.jobs.predict import predict
from medlight.tasks.segmentation import SegmentationTask
from medlight.tasks.trained_model import TrainedModel
from medlight.transforms.volume import Volume

SHAPE = (512, 512, 600)
ORGANS = Labels(("background", "liver", "spleen", "kidneys", "tumour"), "mask")


def net(*, spatial_dims: int, in_channels: int, out_channels: int) -> torch.nn.Module:
    return UNet(
        spatial_dims, in_channels, out_channels, (16, 32, 64, 128), (2, 2, 2), num_res_units=2
    )


def trained(run: Path, checkpoint: str, spacing_mm: tuple[float, ...] | None) -> TrainedModel:
    torch.manual_seed(0)
    spec = DataSpec(3, 1, ORGANS, patch=(96, 96, 96), modality=("CT",))
    task = SegmentationTask(net=net, spec=spec, loss=torch.nn.CrossEntropyLoss())
    return TrainedModel(
        name="large/ct", digest=checkpoint, task=task.eval(), recipe={},
        transforms=Volume(spacing_mm=spacing_mm), device=torch.device("cpu"),
    )  # fmt: skip


def work(folder: Path, *, resample: bool) -> None:
    torch.set_num_threads(1)
    spacing = (1.0, 1.0, 1.0) if resample else None
    start = time.process_time()
    predict(
        runs=[Path("run")], load=lambda run, checkpoint: trained(run, checkpoint, spacing),
        inference=SlidingWindow(overlap=0.25), input=folder / "ct.nii.gz",
        output=folder / f"out_{resample}",
    )  # fmt: skip
    print(resident_mb(), time.process_time() - start)


def main() -> None:
    if len(sys.argv) > 2:
        work(Path(sys.argv[2]), resample=sys.argv[1] == "resampled")
        return
    report = Report("large_ct")
    with tempfile.TemporaryDirectory() as name:
        coarse = np.random.default_rng(0).integers(-900, 900, tuple(n // 8 for n in SHAPE))
        ct = coarse.astype(np.int16).repeat(8, 0).repeat(8, 1).repeat(8, 2)
        affine = np.array([[-0.7, 0, 0, 180], [0, -0.7, 0, 180], [0, 0, 0.8, -300], [0, 0, 0, 1]])
        write_nifti(Path(name) / "ct.nii.gz", ct, Grid(SHAPE, affine))
        del ct
        for side in ("own spacing", "resampled"):
            words = [sys.executable, __file__, side, name]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            memory, took = map(float, done.stdout.split()[-2:])
            report.add(f"{side}: peak memory of the process", memory / 2**10, "GB", wanted="<= 12")
            report.add(f"{side}: time", took, "s CPU")
    report.finish()


if __name__ == "__main__":
    main()
