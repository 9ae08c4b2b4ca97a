"""Nothing is imported before something needs it."""

import os
import subprocess
import sys
from pathlib import Path

SLOW = ("matplotlib", "pandas", "skimage")
LOADED = f"print([name for name in {SLOW} if name in sys.modules]); os._exit(0)"
LIBRARIES = f"import os, sys, torch, pytorch_lightning, monai; {LOADED}"
FIRST_STEP = f"""
import os, sys
from medlight.cli import main
from medlight.callbacks import reseed
def stop(*_):
    {LOADED.replace("; os", "; sys.stdout.flush(); os")}
reseed.Reseed.on_train_batch_end = stop
main(sys.argv[1:])
"""
RUN = ["experiment=seg_unet3d_quick", "data=phantom", "data.n_cases=10", "hydra.run.dir=run"]


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
    """Beyond what torch, Lightning and MONAI import of themselves: torchmetrics takes matplotlib
    where it is installed, MONAI pandas and scikit-image."""
    theirs = loaded(tmp_path, shared_cache, LIBRARIES)
    assert loaded(tmp_path, shared_cache, FIRST_STEP, *RUN) <= theirs
