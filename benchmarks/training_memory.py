"""The memory of training: 1,000 generated volumes against 50, through the front door.

Both runs see patches of 32^3, two at a time, and hold nothing in memory (store.memory_gb=0). What
950 volumes more cost is heads and tables: their voxels are mapped, and let go of once a patch is
read. The figure is the most that the whole process ever held, preparing included.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from harness import Report, resident_mb

from medlight.cli.main import main as medlight

SIDE, FEW, MANY = 64, 50, 1000
RUN = [
    "experiment=seg_unet3d",
    "data.task=Task00_Balls",
    "data.patch=[32,32,32]",
    "data.batch_size=2",
    "data.epoch_samples=1000",
    "data.fold=all",
    "store.memory_gb=0",
    "model.channels=[4,8]",
    "model.strides=[2]",
    "trainer.max_epochs=1",
    "+trainer.limit_val_batches=2",
    "+trainer.limit_test_batches=2",
    "trainer.accelerator=cpu",
]


def write(task: Path, cases: int) -> None:
    """A Decathlon task of noise with a ball in it, int16."""
    reach = np.linalg.norm(np.indices((SIDE,) * 3) - SIDE / 2, axis=0)
    ball = (reach < SIDE / 4).astype(np.uint8)
    pairs = []
    for case in range(cases):
        noise = np.random.default_rng(case).integers(-100, 100, ball.shape, np.int16)
        pair = {"image": f"imagesTr/ball_{case:04d}.nii", "label": f"labelsTr/ball_{case:04d}.nii"}
        for role, values in (("image", noise + np.int16(300) * ball), ("label", ball)):
            (task / pair[role]).parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values, np.eye(4)), task / pair[role])
        pairs.append(pair)
    names = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "ball"}}
    about = {"name": "balls", "tensorImageSize": "3D", **names, "training": pairs, "test": []}
    (task / "dataset.json").write_text(json.dumps(about))


def run(folder: Path) -> None:
    words = [f"data.root={folder}", f"paths.cache={folder}/cache", f"hydra.run.dir={folder}/run"]
    code = medlight([*RUN, *words])
    print(f"\n{code} {resident_mb()}")


def main() -> None:
    if len(sys.argv) > 1:
        run(Path(sys.argv[1]))
        return
    report, peaks = Report("training_memory"), {}
    for cases in (FEW, MANY):
        with tempfile.TemporaryDirectory() as name:
            write(Path(name) / "Task00_Balls", cases)
            words = [sys.executable, __file__, name]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            code, peaks[cases] = map(float, done.stdout.split()[-2:])
            assert code == 0, done.stdout + done.stderr
        size = cases * SIDE**3 * 3 / 2**20
        report.add(f"{cases:,} volumes, {size:,.0f} MB: peak of the process", peaks[cases], "MB")
    grown = peaks[MANY] - peaks[FEW]
    report.add(
        f"{MANY - FEW} volumes more, {(MANY - FEW) * SIDE**3 * 3 / 2**20:,.0f} MB: memory grew by",
        grown,
        "MB",
        wanted="<= 50",
    )
    report.finish()


if __name__ == "__main__":
    main()
