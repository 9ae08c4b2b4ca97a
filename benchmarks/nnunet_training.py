"""nnU-Net trained for a given time, in an environment of its own: started by `side_by_side.py`.

python nnunet_training.py <folder> <minutes> : <folder>/raw/Dataset004_Hippocampus and
<folder>/splits_final.json are there; weights go to <folder>/weights/<seconds>.pt, masks of
<folder>/images to <folder>/masks/<seconds>.
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


def main() -> None:
    folder, minutes = Path(sys.argv[1]), float(sys.argv[2])
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

    start = time.time()
    extract_fingerprints([4], num_processes=2)
    plan_experiments([4])
    preprocess([4], configurations=("3d_fullres",), num_processes=(2,))
    prepared = folder / "preprocessed" / "Dataset004_Hippocampus"
    shutil.copy(folder / "splits_final.json", prepared)
    found: dict[str, Any] = {"preparing": time.time() - start}

    class Timed(nnUNetTrainer):  # type: ignore[misc]
        """Counts the time that it trains, and keeps weights on the way."""

        spent = 0.0

        def on_train_epoch_start(self) -> None:
            super().on_train_epoch_start()
            self.began = time.time()

        def on_train_epoch_end(self, outputs: list[dict[str, Any]]) -> None:
            super().on_train_epoch_end(outputs)
            self.spent += time.time() - self.began
            torch.save(self.network.state_dict(), folder / "weights" / f"{self.spent:.0f}.pt")

    def trained(epochs: int, iterations: int) -> Timed:
        plans = json.loads((prepared / "nnUNetPlans.json").read_text())
        dataset = json.loads((prepared / "dataset.json").read_text())
        plans["continue_training"] = False
        trainer = Timed(plans, "3d_fullres", 0, dataset, torch.device("cpu"))
        trainer.num_epochs, trainer.num_iterations_per_epoch = epochs, iterations
        trainer.num_val_iterations_per_epoch = 1  # its validation would take half of the time
        trainer.disable_checkpointing = True
        (folder / "weights").mkdir()
        trainer.run_training()
        return trainer

    each = trained(1, TRIAL).spent / TRIAL
    shutil.rmtree(folder / "weights")
    epochs = max(2, round(60 * minutes / each / ITERATIONS))
    trainer = trained(epochs, ITERATIONS)
    count = epochs * ITERATIONS
    found |= {"training": trainer.spent, "steps": count, "a step": trainer.spent / count}

    trainer.set_deep_supervision_enabled(False)
    predictor = nnUNetPredictor(
        use_mirroring=True,
        device=torch.device("cpu"),
        allow_tqdm=False,
        perform_everything_on_device=False,
    )
    images = sorted((folder / "images").glob("*.nii.gz"))
    for weights in sorted((folder / "weights").glob("*.pt"), key=lambda path: int(path.stem)):
        output = folder / "masks" / weights.stem
        output.mkdir(parents=True)
        predictor.manual_initialization(
            trainer.network,
            trainer.plans_manager,
            trainer.configuration_manager,
            [torch.load(weights, weights_only=True)],
            trainer.dataset_json,
            "nnUNetTrainer",
            trainer.inference_allowed_mirroring_axes,
        )
        start = time.time()
        predictor.predict_from_files_sequential(
            [[str(path)] for path in images],
            [str(output / path.name.removesuffix("_0000.nii.gz")) for path in images],
        )
        found["inference, a case"] = (time.time() - start) / len(images)
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__" and len(sys.argv) > 2:
    main()
