"""A run that is stopped and resumed ends as the one that was not, bit for bit.

Every run is a process of its own, entered by the front door and really stopped. It is forked from
this one, which has imported what takes seconds.
"""

import csv
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import monai.networks.nets  # noqa: F401  # imported once, not by every process
import pytest
import pytorch_lightning as pl
import torch

import medlight.cli.launch
from medlight.cli.main import main

EPOCHS, BATCHES = 3, 5
RUN = [
    "experiment=seg_unet2d",
    "data.n_cases=30",
    "data.batch_size=4",
    f"data.epoch_samples={4 * BATCHES}",
    "model.channels=[4,8]",
    "model.strides=[2]",
    "model.dropout=0.3",
    f"trainer.max_epochs={EPOCHS}",
    "~callbacks.panels",  # pictures take longer than the training
    "~callbacks.selective",
    f"+callbacks.stop={{_target_: {__name__}.Stop}}",
    "hydra.run.dir=run",
]


class Stop(pl.Callback):
    """Ends this process where $STOP says: "how hook epoch batch"."""

    def __init__(self) -> None:
        how, self.hook, *where = os.environ.get("STOP", "never x 0 0").split()
        self.how, self.where = how, tuple(map(int, where))

    def _act(self, hook: str, trainer: pl.Trainer) -> None:
        batch = trainer.fit_loop.epoch_loop.batch_progress.current.ready - 1
        if (hook, (trainer.current_epoch, batch)) != (self.hook, self.where):
            return
        if self.how == "error":
            raise RuntimeError("as asked")
        os.kill(os.getpid(), signal.SIGTERM if self.how == "sigterm" else signal.SIGKILL)

    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        self._act("epoch_start", trainer)

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self._act("batch_start", trainer)

    def on_after_backward(self, trainer: Any, *_: Any) -> None:
        self._act("backward", trainer)

    def on_before_zero_grad(self, trainer: Any, *_: Any) -> None:
        self._act("before_step", trainer)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self._act("batch_end", trainer)

    def on_validation_batch_end(self, trainer: Any, *_: Any) -> None:
        self._act("validation", trainer)

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        self._act("epoch_end", trainer)


def enter(folder: Path, words: list[str], stop: str, cache: Path) -> None:
    os.chdir(folder)
    os.environ |= {"STOP": stop, "MEDLIGHT_CACHE": str(cache), "MEDLIGHT_TRUST": __name__}
    screen = os.open("screen.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    sys.stdout = sys.stderr = os.fdopen(screen, "w", buffering=1)
    os.dup2(sys.stdout.fileno(), 1)
    os.dup2(sys.stdout.fileno(), 2)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv = ["medlight", *words]
    sys.exit(main(words))


Medlight = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def medlight(shared_cache: Path) -> Medlight:
    """Type `medlight ...` in a folder: (exit code, screen)."""

    def run(folder: Path, *words: str, stop: str = "never x 0 0") -> tuple[int, str]:
        folder.mkdir(exist_ok=True, parents=True)
        process = multiprocessing.get_context("fork").Process(
            target=enter, args=(folder, list(words), stop, shared_cache)
        )
        process.start()
        process.join(300)
        assert process.exitcode is not None, "does not end"
        return process.exitcode, (folder / "screen.txt").read_text()

    return run


def kill_somewhere(folder: Path, words: list[str], cache: Path, seconds: float) -> int | None:
    """kill -9 after so many seconds; the exit code where it ended before."""
    process = multiprocessing.get_context("fork").Process(
        target=enter, args=(folder, words, "never x 0 0", cache)
    )
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode


def everything(run: Path) -> dict[str, Any]:
    """What two equal runs share, to the bit."""
    found: dict[str, Any] = {}
    for name in ("best", "last"):
        saved = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
        parts = ["state_dict", "current_model_state", "averaging_state", "optimizer_states",
                 "lr_schedulers", "loops", "epoch", "global_step"]  # fmt: skip
        found |= {f"{name}.{part}": saved.get(part) for part in parts}
        states = {k: v for k, v in saved["callbacks"].items() if not k.startswith("Provenance")}
        for state in states.values():
            state.pop("current_score", None)  # Lightning forgets it, and decides nothing by it
        found[f"{name}.callbacks"] = states
    with (run / "curves.csv").open(newline="") as file:
        found["curves"] = [{**row, "seconds": ""} for row in csv.DictReader(file)]
    for name in ("metrics.json", "cases.csv"):
        found[name] = (run / name).read_text()
    return found


def differences(one: Any, other: Any, name: str = "") -> list[str]:
    """Where two nests of containers, numbers and tensors are not equal."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [d for key in one for d in differences(one[key], other[key], f"{name}.{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [d for key, pair in pairs for d in differences(*pair, f"{name}.{key}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) else [name]
    return [] if one == other else [f"{name}: {one} != {other}"]


OFTEN = "callbacks.last_checkpoint.every_n_minutes=0"
HARD = ("trainer.accumulate_grad_batches=2", "data.num_workers=2", "optimizer=muon")
PATIENCE = "{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/dice, mode: max, "
PATIENCE += "min_delta: 1.0, patience: 2}"  # nothing is that much better: three epochs
WORDS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "accumulating, with workers": HARD,
    "validating within epochs": ("+trainer.val_check_interval=0.4",),
    "validating every other epoch": ("trainer.check_val_every_n_epoch=2",),
    "stopping early": (f"+callbacks.patience={PATIENCE}", "trainer.max_epochs=6"),
}
STOPS = [
    "sigterm batch_start 1 1",
    "sigterm batch_end 0 3",
    "sigterm epoch_end 0 4",
    "sigterm validation 1 4",
    "error batch_start 2 0",
    "error backward 1 3",
    "error before_step 0 2",
    "error validation 1 4",
    "kill batch_end 1 2",
    "kill validation 1 4",
    "kill epoch_start 2 4",
    "kill batch_start 0 0",
]


@pytest.fixture(scope="module")
def whole(medlight: Medlight, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """An uninterrupted run with these words, made once."""
    done: dict[tuple[str, ...], Path] = {}

    def run(words: tuple[str, ...]) -> Path:
        if words not in done:
            folder = tmp_path_factory.mktemp("whole")
            code, screen = medlight(folder, *RUN, *words)
            assert code == 0, screen
            done[words] = folder / "run"
        return done[words]

    return run


def check(
    medlight: Medlight, whole: Callable[..., Path], folder: Path, stop: str, *words: str
) -> None:
    code, screen = medlight(folder, *RUN, *words, stop=stop)
    how = stop.partition(" ")[0]
    assert code == {"kill": -signal.SIGKILL, "sigterm": 143, "error": 1}[how], screen
    assert not (folder / "run" / "cases.csv").exists()
    if how != "kill" and (folder / "run" / "checkpoints").exists():
        assert "medlight resume=run" in screen
    code, screen = medlight(folder, "resume=run")
    assert code == 0, screen
    plain = tuple(word for word in words if word != OFTEN)
    assert differences(everything(folder / "run"), everything(whole(plain))) == []


@pytest.mark.parametrize(
    "stop", ["kill batch_end 1 2", pytest.param("sigterm batch_start 1 1", marks=pytest.mark.slow)]
)
def test_a_stopped_run_goes_on_bit_for_bit(
    stop: str, medlight: Medlight, whole: Callable[..., Path], tmp_path: Path
) -> None:
    check(medlight, whole, tmp_path, stop, *HARD)


def test_deterministic_means_the_same_bits_whatever_reads(
    medlight: Medlight, tmp_path: Path
) -> None:
    for name, workers in (("one", 0), ("other", 2)):
        words = ("deterministic=true", f"data.num_workers={workers}", "trainer.max_epochs=2")
        code, screen = medlight(tmp_path / name, *RUN, *words)
        assert code == 0, screen
    one, other = (everything(tmp_path / name / "run") for name in ("one", "other"))
    assert differences(one, other) == []


@pytest.mark.slow
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("often", [True, False])
@pytest.mark.parametrize("stop", STOPS)
def test_wherever_it_stops(
    stop: str,
    often: bool,
    words: str,
    medlight: Medlight,
    whole: Callable[..., Path],
    tmp_path: Path,
) -> None:
    if "within" in words:  # validations follow the second and the fourth batch
        stop = stop.replace("validation 1 4", "validation 1 3")
    check(medlight, whole, tmp_path, stop, *WORDS[words], *([OFTEN] if often else []))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("MEDLIGHT_CHAOS", "2"))))
def test_killed_at_random_moments(
    seed: int, medlight: Medlight, whole: Callable[..., Path], tmp_path: Path, shared_cache: Path
) -> None:
    """Again and again, wherever it is: while it builds, trains, validates, writes or tests."""
    random, words = Random(seed), [*RUN, *HARD, OFTEN]
    whole(HARD)
    for _ in range(12):
        if kill_somewhere(tmp_path, words, shared_cache, random.uniform(0.5, 8)) == 0:
            break
        if (tmp_path / "run" / "config.yaml").is_file():
            words = ["resume=run"]
    code, screen = medlight(tmp_path, *words)
    assert code == 0, screen
    assert differences(everything(tmp_path / "run"), everything(whole(HARD))) == []
