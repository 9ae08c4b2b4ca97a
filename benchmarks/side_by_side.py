"""Dice against minutes: nnU-Net, MONAI's tutorial recipe and medlight on the same cases.

Hippocampus, fold 0 of medlight's split: the same cases train, 42 others are predicted with weights
kept on the way, and one code scores all masks (`medlight evaluate predictions=`). The machine is
alone, with all its cores, until "timed" is printed; what is left is to score. nnU-Net gets a given
time, its schedule set to that length, one validation iteration an epoch instead of 50, and its time
counts from its first iteration; MONAI's recipe counts from its first batch; medlight from its
command, with start, preparation and validations. Each predicts from files to files with its last
weights. Each as it comes: medlight computes in bf16 where a processor has instructions for it, the
others in float32. nnU-Net runs in an environment of its own, whose python $NNUNET_PYTHON names.
With `gpu`, all three have their full schedules there.

python benchmarks/side_by_side.py [<minutes of MONAI's recipe> <minutes of nnU-Net> | gpu]
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import RESULTS, Report, processor

from medlight.core.split import Split
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.io.locate import extract

HERE = Path(__file__).parent
DOOR = (sys.executable, "-m", "medlight")
INFERENCE = "inference, a case"
"""With export; medlight and nnU-Net mirror along the left-right axis, MONAI's tutorial does not."""
NAMES = ("medlight", "MONAI's tutorial", "nnU-Net")
DICE = (0.80, 0.85, 0.87)
EVERY = 2
"""Epochs of medlight between two weights that are scored."""


@dataclass(slots=True)
class Side:
    """What one of them did: what it says of itself, then seconds to mean Dice, in order."""

    name: str
    folder: Path
    found: dict[str, float]
    peak_gb: float
    scored: list[tuple[float, float]] = field(default_factory=list)

    def time_to(self, dice: float) -> float:
        """Seconds; infinite where it was not reached."""
        return next((seconds for seconds, score in self.scored if score >= dice), float("inf"))


def run(words: Sequence[str | Path], **env: str) -> tuple[float, float]:
    """Seconds of a command, and the most memory in GB that it held."""
    start = time.time()
    inherited = {key: os.environ[key] for key in os.environ if not key.endswith("_NUM_THREADS")}
    process = subprocess.Popen([str(word) for word in words], env={**inherited, **env})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, words))} ended with {os.waitstatus_to_exitcode(status)}")
    return time.time() - start, usage.ru_maxrss / 2**20


def score(masks: Path, labels: Path, output: Path) -> float:
    words = [f"predictions={masks}", f"labels={labels}", f"hydra.run.dir={output}"]
    words += ["class_names=[background,Anterior,Posterior]", "job.max_cases=0"]
    run([*DOOR, "evaluate", *words])
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


@dataclass(frozen=True, slots=True)
class Rival:
    """A framework behind a script of its own, which trains, then predicts with what it kept."""

    name: str
    python: str
    script: str
    folder: Path

    def train(self, length: str) -> Side:
        _, peak = run([self.python, HERE / self.script, self.folder, length], PYTHONPATH="")
        found = json.loads((self.folder / "found.json").read_text())
        return Side(self.name, self.folder, found, peak)

    def score(self, side: Side, labels: Path) -> None:
        run([self.python, HERE / self.script, self.folder], PYTHONPATH="")
        side.scored = [
            (float(masks.name), score(masks, labels, self.folder / "scores" / masks.name))
            for masks in sorted((self.folder / "masks").iterdir(), key=lambda path: int(path.name))
        ]


def prepare_nnunet(folder: Path, task: Path, split: Split, shared: Path) -> None:
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


def prepare_monai(folder: Path, task: Path, split: Split, shared: Path) -> None:
    folder.mkdir()
    cases = [
        {"image": str(task / "imagesTr" / name), "label": str(task / "labelsTr" / name)}
        for name in (f"{case}.nii.gz" for case in split.train)
    ]
    (folder / "cases.json").write_text(json.dumps(cases))
    (folder / "images").symlink_to(shared / "images")


def ours(folder: Path, task: Path, shared: Path) -> Side:
    folder.mkdir()
    every = "{_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: -1, "
    every += f"every_n_epochs: {EVERY}, dirpath: {folder / 'weights'}, filename: '{{epoch}}'}}"
    (folder / "start").touch()
    _, peak = run(
        [*DOOR, "experiment=seg_unet3d", f"data.root={task}", f"hydra.run.dir={folder / 'run'}",
         f"paths.cache={folder / 'cache'}", f"+callbacks.every={every}"]
    )  # fmt: skip
    images = sorted((shared / "images").iterdir())
    predict = [*DOOR, "predict", f"run={folder / 'run'}"]
    one, _ = run([*predict, f"input={images[0]}", f"output={folder / 'one'}"])
    all_, _ = run([*predict, f"input={shared / 'images'}", f"output={folder / 'all'}"])
    provenance = json.loads((folder / "run" / "provenance.json").read_text())
    steps, training = provenance["training"]["steps"], provenance["times"]["fit_seconds"]
    found = {"training": training, "steps": steps}
    found["chosen"] = json.loads((folder / "run" / "metrics.json").read_text())["test/dice"]
    found[INFERENCE] = (all_ - one) / (len(images) - 1)
    return Side(NAMES[0], folder, found, peak)


def ours_scored(side: Side, shared: Path) -> None:
    start = (side.folder / "start").stat().st_mtime
    for weights in sorted((side.folder / "weights").glob("*.ckpt"), key=os.path.getmtime):
        masks = side.folder / "masks" / weights.stem.replace("=", "_")
        words = [f"run={side.folder / 'run'}", f"job.checkpoint='{weights}'"]
        run([*DOOR, "predict", *words, f"input={shared / 'images'}", f"output={masks}"])
        dice = score(masks, shared / "labels", side.folder / "scores" / masks.name)
        side.scored.append((weights.stat().st_mtime - start, dice))


def measured(folder: Path, lengths: Sequence[str]) -> tuple[Side, Side, Side]:
    """medlight, MONAI's tutorial, nnU-Net."""
    task, split = data_of(Path(os.environ["MEDLIGHT_DATA"]), folder)
    prepare_monai(folder / "monai", task, split, folder)
    prepare_nnunet(folder / "nnunet", task, split, folder)
    python = os.environ["NNUNET_PYTHON"]
    rivals = (
        Rival(NAMES[1], sys.executable, "monai_training.py", folder / "monai"),
        Rival(NAMES[2], python, "nnunet_training.py", folder / "nnunet"),
    )
    mine = ours(folder / "medlight", task, folder)
    monai, nnunet = (each.train(given) for each, given in zip(rivals, lengths, strict=True))
    print("timed; what is left is to score", flush=True)
    ours_scored(mine, folder)
    for each, side in zip(rivals, (monai, nnunet), strict=True):
        each.score(side, folder / "labels")
    return mine, monai, nnunet


def on_cpu(lengths: Sequence[str]) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    report = Report("side_by_side", hardware=f"{processor()}, {os.cpu_count()} cores, all used")
    mine, monai, nnunet = told(report, lengths)
    end = nnunet.scored[-1][1]
    took = mine.time_to(end) / 60
    report.add("medlight to nnU-Net's Dice at the end", took, "min", wanted="<= 5")
    share = mine.time_to(0.85) / monai.time_to(0.85)
    report.add("to Dice 0.85: share of MONAI's time", share, "x", wanted="<= 0.2")
    share = mine.found[INFERENCE] / nnunet.found[INFERENCE]
    report.add("inference with export: share of nnU-Net's time", share, "x", wanted="<= 0.5")
    report.finish()


def on_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        report = Report("side_by_side_gpu", hardware=torch.cuda.get_device_name())
        told(report, ("full", "full"))
    else:
        print("no GPU here: not measured")
        report = Report("side_by_side_gpu", hardware="no GPU was at hand")
        for name in NAMES:
            for dice in DICE:
                report.add(f"{name}: to Dice {dice:.2f}", None, "min")
            report.add(f"{name}: Dice at the end", None, "")
            report.add(f"{name}: training", None, "min")
    report.finish(
        write=torch.cuda.is_available() or not (RESULTS / f"{report.name}.json").is_file()
    )


def told(report: Report, lengths: Sequence[str]) -> tuple[Side, Side, Side]:
    folder = Path(tempfile.mkdtemp(prefix="side_by_side_"))
    print(f"what is trained and predicted stays in {folder}", flush=True)
    sides = measured(folder, lengths)
    for side in sides:
        for dice in DICE:
            took = side.time_to(dice) / 60
            value = took if math.isfinite(took) else None
            report.add(f"{side.name}: to Dice {dice:.2f}", value, "min", instead="not reached")
        curve = [[seconds / 60, score] for seconds, score in side.scored]
        report.add(f"{side.name}: Dice at the end", side.scored[-1][1], "", curve=curve)
        report.add(f"{side.name}: best Dice on the way", max(d for _, d in side.scored), "")
        report.add(f"{side.name}: training", side.found["training"] / 60, "min")
        report.add(f"{side.name}: steps", side.found["steps"], "")
        report.add(f"{side.name}: peak memory", side.peak_gb, "GB")
        for way in (key for key in side.found if key.startswith(INFERENCE)):
            report.add(f"{side.name}: {way}", side.found[way], "s")
    chosen = sides[0].found["chosen"]
    report.add(f"{sides[0].name}: Dice of the weights that validation chose", chosen, "")
    return sides


def main() -> None:
    words = sys.argv[1:] or ["15", "60"]
    if words != ["gpu"] and not {"MEDLIGHT_DATA", "NNUNET_PYTHON"} <= os.environ.keys():
        print("not measured: set MEDLIGHT_DATA, and NNUNET_PYTHON to a python with nnunetv2")
    elif words == ["gpu"]:
        on_gpu()
    else:
        on_cpu(words)


if __name__ == "__main__":
    main()
