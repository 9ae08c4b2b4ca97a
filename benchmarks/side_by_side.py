"""Dice against minutes: nnU-Net, MONAI's tutorial recipe and medlight on the same cases.

Hippocampus, fold 0 of medlight's split: the same cases train, 42 others are predicted with weights
kept on the way, and one code scores all masks (`medlight evaluate predictions=`). The machine is
alone, with all its cores. nnU-Net gets a given time, its schedule set to that length, one
validation iteration an epoch instead of 50, and its time counts from its first iteration; MONAI's
recipe counts from its first batch; medlight from its command, with start, preparation and
validations. nnU-Net runs in an environment of its own, whose python $NNUNET_PYTHON names.

python benchmarks/side_by_side.py [<minutes of nnU-Net> <minutes of MONAI's recipe>]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Report

from medlight.core.split import Split
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.io.archive import extract

HERE = Path(__file__).parent
DICE = (0.80, 0.85, 0.87)
EVERY = 2
"""Epochs of medlight between two weights that are scored."""


@dataclass(slots=True)
class Side:
    """What one of them did: seconds to mean Dice, in order, and what it says of itself."""

    name: str
    scored: list[tuple[float, float]]
    found: dict[str, float]
    peak_gb: float

    def time_to(self, dice: float) -> float:
        """Seconds; infinite where it was not reached."""
        return next((seconds for seconds, score in self.scored if score >= dice), float("inf"))


def run(words: Sequence[str | Path], **env: str) -> tuple[float, float]:
    """Seconds of a command, and the most memory in GB that it held."""
    start = time.time()
    threads = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    process = subprocess.Popen([str(word) for word in words], env={**threads, **env})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, words))} ended with {os.waitstatus_to_exitcode(status)}")
    return time.time() - start, usage.ru_maxrss / 2**20


def score(masks: Path, labels: Path, output: Path) -> float:
    words = [f"predictions={masks}", f"labels={labels}", f"hydra.run.dir={output}"]
    words += ["class_names=[background,Anterior,Posterior]", "job.max_cases=0"]
    run([sys.executable, "-m", "medlight", "evaluate", *words])
    return float(json.loads((output / "metrics.json").read_text())["test/dice"])


def data_of(source: Path, folder: Path) -> tuple[Path, Split]:
    extract(source / "Task04_Hippocampus.tar", folder / "source")
    [task] = (folder / "source").rglob("dataset.json")
    split = DecathlonDataModule(root=task.parent, cache=folder / "cache", fold=0).split
    for case in split.test:
        for part, name in (("imagesTr", "images"), ("labelsTr", "labels")):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / f"{case}.nii.gz").symlink_to(task.parent / part / f"{case}.nii.gz")
    return task.parent, split


def finished(name: str, folder: Path, labels: Path, peak_gb: float) -> Side:
    """A side that left masks/<seconds>/ and found.json."""
    scored = [
        (float(masks.name), score(masks, labels, folder / "scores" / masks.name))
        for masks in sorted((folder / "masks").iterdir(), key=lambda path: int(path.name))
    ]
    return Side(name, scored, json.loads((folder / "found.json").read_text()), peak_gb)


def nnunet(minutes: float, folder: Path, task: Path, split: Split, shared: Path) -> Side:
    raw = folder / "raw" / "Dataset004_Hippocampus"
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True)
    for case in (*split.train, *split.val):
        image = raw / "imagesTr" / f"{case}_0000.nii.gz"
        image.symlink_to(task / "imagesTr" / f"{case}.nii.gz")
        (raw / "labelsTr" / f"{case}.nii.gz").symlink_to(task / "labelsTr" / f"{case}.nii.gz")
    about: dict[str, Any] = {"channel_names": {"0": "MRI"}, "file_ending": ".nii.gz"}
    about["labels"] = {"background": 0, "Anterior": 1, "Posterior": 2}
    about["numTraining"] = len(split.train) + len(split.val)
    (raw / "dataset.json").write_text(json.dumps(about))
    sides = [{"train": list(split.train), "val": list(split.val)}]
    (folder / "splits_final.json").write_text(json.dumps(sides))
    (folder / "images").symlink_to(shared / "images")
    words = [os.environ["NNUNET_PYTHON"], HERE / "nnunet_training.py", folder, str(minutes)]
    _, peak = run(words, PYTHONPATH="")
    return finished("nnU-Net", folder, shared / "labels", peak)


def monai(minutes: float, folder: Path, task: Path, split: Split, shared: Path) -> Side:
    folder.mkdir()
    cases = [
        {"image": str(task / "imagesTr" / name), "label": str(task / "labelsTr" / name)}
        for name in (f"{case}.nii.gz" for case in split.train)
    ]
    (folder / "cases.json").write_text(json.dumps(cases))
    (folder / "images").symlink_to(shared / "images")
    _, peak = run([sys.executable, HERE / "monai_training.py", folder, str(minutes)])
    return finished("MONAI's tutorial", folder, shared / "labels", peak)


def ours(folder: Path, task: Path, shared: Path) -> Side:
    folder.mkdir()
    door, out = [sys.executable, "-m", "medlight"], folder / "run"
    every = "{_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: -1, "
    every += f"every_n_epochs: {EVERY}, dirpath: {folder / 'weights'}, filename: '{{epoch}}'}}"
    start = time.time()
    _, peak = run([*door, "experiment=seg_unet3d", f"data.root={task}", f"hydra.run.dir={out}",
                   f"paths.cache={folder / 'cache'}", f"+callbacks.every={every}"])  # fmt: skip
    predict = [*door, "predict", f"run={out}"]
    scored = []
    for weights in sorted((folder / "weights").glob("*.ckpt"), key=lambda p: p.stat().st_mtime):
        masks = folder / "masks" / weights.stem.replace("=", "_")
        chosen = f"job.checkpoint='{weights}'"
        took, _ = run([*predict, f"input={shared / 'images'}", f"output={masks}", chosen])
        dice = score(masks, shared / "labels", folder / "scores" / masks.name)
        scored.append((weights.stat().st_mtime - start, dice))
    first = sorted((shared / "images").iterdir())[0]
    alone, _ = run([*predict, f"input={first}", f"output={folder / 'one'}"])
    cases = len(list((shared / "images").iterdir()))
    provenance = json.loads((out / "provenance.json").read_text())
    steps, training = provenance["training"]["steps"], provenance["times"]["fit_seconds"]
    found = {"training": training, "steps": steps, "a step": training / steps}
    found["inference, a case"] = (took - alone) / (cases - 1)
    return Side("medlight", scored, found, peak)


def main() -> None:
    minutes = [float(word) for word in sys.argv[1:3]] or [60.0, 15.0]
    if not {"MEDLIGHT_DATA", "NNUNET_PYTHON"} <= os.environ.keys():
        print("not measured: set MEDLIGHT_DATA, and NNUNET_PYTHON to a python with nnunetv2")
        return
    report = Report("side_by_side")
    with tempfile.TemporaryDirectory() as name:
        shared = Path(name)
        task, split = data_of(Path(os.environ["MEDLIGHT_DATA"]), shared)
        sides = [
            ours(shared / "medlight", task, shared),
            monai(minutes[1], shared / "monai", task, split, shared),
            nnunet(minutes[0], shared / "nnunet", task, split, shared),
        ]
    for side in sides:
        for dice in DICE:
            report.add(f"{side.name}: to Dice {dice:.2f}", side.time_to(dice) / 60, "min")
        report.add(f"{side.name}: Dice at the end", side.scored[-1][1], "")
        report.add(f"{side.name}: best Dice on the way", max(d for _, d in side.scored), "")
        report.add(f"{side.name}: training", side.found["training"] / 60, "min")
        report.add(f"{side.name}: steps", side.found["steps"], "")
        report.add(f"{side.name}: peak memory", side.peak_gb, "GB")
        report.add(f"{side.name}: inference, a case", side.found["inference, a case"], "s")
    mine, monais, theirs = sides
    end = theirs.scored[-1][1]
    report.add(
        "medlight to nnU-Net's Dice at the end", mine.time_to(end) / 60, "min", wanted="<= 5"
    )
    share = mine.time_to(0.85) / monais.time_to(0.85)
    report.add("to Dice 0.85: share of MONAI's time", share, "x", wanted="<= 0.2")
    share = mine.found["inference, a case"] / theirs.found["inference, a case"]
    report.add("inference with export: share of nnU-Net's time", share, "x", wanted="<= 0.5")
    report.finish()


if __name__ == "__main__":
    main()
