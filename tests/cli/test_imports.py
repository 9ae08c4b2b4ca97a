"""Nothing is imported before something needs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ("matplotlib.artist", "pandas.core", "skimage")
"""Each with a part of it, which no stand-in has."""
LOADED = f"print([name for name in {SLOW} if name in sys.modules]); os._exit(0)"
STOP = f"""
import os, sys
from pytorch_lightning import Callback
class Stop(Callback):
    def on_train_batch_end(self, *_):
        {LOADED.replace("; os", "; sys.stdout.flush(); os")}
"""
DOOR = "import sys; from medlight.cli.main import main; main(sys.argv[1:])"
RUN = ["experiment=seg_unet3d_quick", "data=phantom", "data.n_cases=10", "hydra.run.dir=run",
       "+callbacks.stop._target_=stop.Stop"]  # fmt: skip


def loaded(folder: Path, cache: Path, code: str, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-u", "-c", code, *words],
        cwd=folder,
        env={**os.environ, "MEDLIGHT_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(eval(done.stdout.splitlines()[-1]))


def test_training_begins_without_what_draws(tmp_path: Path, shared_cache: Path) -> None:
    (tmp_path / "stop.py").write_text(STOP)
    assert loaded(tmp_path, shared_cache, DOOR, *RUN) == set()


POSTPONED = """
import os, sys
import medlight.cli.lazy_imports
import torch, pytorch_lightning, torchmetrics, monai
assert not {"matplotlib.artist", "pandas.core"} & set(sys.modules)
metric = torchmetrics.Accuracy(task="multiclass", num_classes=3)
metric(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1]))
figure, axes = metric.plot()
import pandas
import matplotlib
import matplotlib.pyplot
from matplotlib import pyplot as plt
assert matplotlib.pyplot.rcParams is plt.rcParams is matplotlib.rcParams
assert isinstance(figure, matplotlib.figure.Figure)
assert isinstance(sys.modules["torchmetrics.utilities.plot"]._AX_TYPE, type)
assert torchmetrics.ConfusionMatrix(task="binary").plot(torch.eye(2)) is not None
assert pandas.DataFrame({"a": [1, 2]}).sum()["a"] == 3
from monai.data import CSVDataset
open("a.csv", "w").write("x,y\\n1,2\\n")
assert CSVDataset("a.csv")[0] == {"x": 1, "y": 2}
"""


@pytest.mark.slow
def test_what_is_postponed_works_when_it_is_used(tmp_path: Path, shared_cache: Path) -> None:
    code = POSTPONED + "print([])\nsys.stdout.flush(); os._exit(0)"
    assert loaded(tmp_path, shared_cache, code) == set()
