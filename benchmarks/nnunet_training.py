"""nnU-Net trained for a given time, in an environment of its own: started by `side_by_side.py`.

python nnunet_training.py <folder> <minutes, or full> : <folder>/raw/Dataset004_Hippocampus and
<folder>/splits_final.json are there; weights go to <folder>/weights/<seconds>.pt; <folder>/images
are predicted with the last of them.
python nnunet_training.py <folder> : they are predicted with each, to <folder>/masks/<seconds>.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

ITERATIONS, TRIAL = 10, 3
"""In an epoch, after each of which the schedule moves; and to measure the speed first."""
LEFT_RIGHT = (2,)
"""The axis in its order, which is that of the file turned round."""
FULL = (1000, 250)
"""Epochs, and iterations in each, of nnU-Net's own schedule."""
KEPT = 6
"""Weights on the way."""


def main() -> None:
    folder = Path(sys.argv[1])
    for part in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{part}"] = str(folder / part)
    os.environ |= {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "2"}

    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepared = folder / "preprocessed" / "Dataset004_Hippocampus"

    class Timed(nnUNetTrainer):  # type: ignore[misc]
        """Counts the time that it trains, and keeps weights on the way."""

        spent = 0.0

        def on_train_epoch_start(self) -> None:
            super().on_train_epoch_start()
            self.began = time.time()

        def on_train_epoch_end(self, outputs: list[dict[str, Any]]) -> None:
            super().on_train_epoch_end(outputs)
            self.spent += time.time() - self.began
            done = self.current_epoch + 1
            if done % max(1, self.num_epochs // KEPT) == 0 or done == self.num_epochs:
                torch.save(self.network.state_dict(), folder / "weights" / f"{self.spent:.0f}.pt")

    def trainer(epochs: int, iterations: int) -> Timed:
        plans = json.loads((prepared / "nnUNetPlans.json").read_text())
        dataset = json.loads((prepared / "dataset.json").read_text())
        plans["continue_training"] = False
        timed = Timed(plans, "3d_fullres", 0, dataset, device)
        timed.num_epochs, timed.num_iterations_per_epoch = epochs, iterations
        if (epochs, iterations) != FULL:
            timed.num_val_iterations_per_epoch = 1  # its validation would take half of the time
        timed.disable_checkpointing = True
        return timed

    def train(length: str) -> dict[str, Any]:
        extract_fingerprints([4], num_processes=2)
        plan_experiments([4])
        preprocess([4], configurations=("3d_fullres",), num_processes=(2,))
        shutil.copy(folder / "splits_final.json", prepared)
        (folder / "weights").mkdir()
        epochs, iterations = FULL
        if length != "full":
            trial = trainer(1, TRIAL)
            trial.run_training()
            shutil.rmtree(folder / "weights")
            (folder / "weights").mkdir()
            iterations = ITERATIONS
            epochs = max(2, round(60 * float(length) / (trial.spent / TRIAL) / iterations))
        whole = trainer(epochs, iterations)
        whole.run_training()
        return {"training": whole.spent, "steps": epochs * iterations}

    def predict(weights: Path, axes: tuple[int, ...]) -> float:
        """Seconds a case, mirrored along these axes."""
        output = folder / "masks" / weights.stem
        output.mkdir(parents=True, exist_ok=True)
        with_net = trainer(1, 1)
        with_net.initialize()
        with_net.set_deep_supervision_enabled(False)
        predictor = nnUNetPredictor(
            use_mirroring=True, device=device, allow_tqdm=False, perform_everything_on_device=False
        )
        predictor.manual_initialization(
            with_net.network,
            with_net.plans_manager,
            with_net.configuration_manager,
            [torch.load(weights, weights_only=True)],
            with_net.dataset_json,
            "nnUNetTrainer",
            axes,
        )
        images = sorted((folder / "images").glob("*.nii.gz"))
        start = time.time()
        predictor.predict_from_files_sequential(
            [[str(path)] for path in images],
            [str(output / path.name.removesuffix(".nii.gz")) for path in images],
        )
        return (time.time() - start) / len(images)

    if len(sys.argv) == 2:
        for weights in (folder / "weights").glob("*.pt"):
            predict(weights, (0, 1, 2))
        return
    found = train(sys.argv[2])
    last = max((folder / "weights").iterdir(), key=os.path.getmtime)
    for axes, way in ((LEFT_RIGHT, ""), ((0, 1, 2), ", mirrored along all axes")):
        found[f"inference, a case{way}"] = predict(last, axes)
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__" and len(sys.argv) > 1:
    main()
