"""Two processes give what one gives: losses, scores, files.

They enter the front door as torchrun starts them, forked from this process. Each works in a folder
of its own, so that what it writes is seen.
"""

import csv
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import monai.networks.nets  # noqa: F401  # imported once, not by every process
import pytest
import pytorch_lightning as pl

import medlight.cli.launch  # noqa: F401
from medlight.cli.main import main

STEPS = 20
RUN = ["experiment=seg_unet2d", "data.n_cases=30", "data.epoch_samples=4",  # one step
    "model.channels=[4,8]", "model.strides=[2]", "model.norm=instance",
    "callbacks.ema.decay=0.5", "trainer.check_val_every_n_epoch=10",
    f"trainer.max_epochs={STEPS}", f"+callbacks.pause={{_target_: {__name__}.Pause}}",
    "hydra.run.dir=run"]  # fmt: skip
CLASSIFIER = ["experiment=cls_resnet_fast", "data=phantom2d", "data.n_cases=60",
    "data.group_size=1", "data.batch_size=8", "data.epoch_samples=16", "trainer.max_epochs=1",
    "hydra.run.dir=run"]  # fmt: skip
EXACT = "trainer.precision=32-true"  # bfloat16 has three digits
DDP = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]


class Pause(pl.Callback):
    """In the epoch that $PAUSE names: rank 1 gets SIGTERM, or dies, or hangs."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        how, epoch = os.environ.get("PAUSE", "never -1").split()
        if trainer.current_epoch == int(epoch) and trainer.global_rank == trainer.world_size - 1:
            Path("here").touch()
            if how == "sigterm":
                os.kill(os.getpid(), signal.SIGTERM)
            elif how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                time.sleep(3600)


def enter(folder: Path, words: list[str], env: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    os.environ |= {**env, "MEDLIGHT_TRUST": __name__}  # its callback is in the saved settings
    screen = os.open("screen.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    sys.stdout = sys.stderr = os.fdopen(screen, "w", buffering=1)
    os.dup2(screen, 1)
    os.dup2(screen, 2)

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv = ["medlight", *words]
    sys.exit(main(words))


def start(folders: list[Path], cache: Path, words: list[str], **more: str) -> list[BaseProcess]:
    """One process for each folder; several as torchrun would start them."""
    port = free_port()
    processes, words = [], [*words, EXACT]
    for rank, folder in enumerate(folders):
        env = {"MEDLIGHT_CACHE": str(cache), "WANDB_MODE": "offline", **more}
        if len(folders) > 1:
            env |= dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank))
            env |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(len(folders)))
            env |= {
                "GROUP_RANK": "0",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "TORCHELASTIC_RUN_ID": "test",
            }
        fork = multiprocessing.get_context("fork")
        processes.append(fork.Process(target=enter, args=(folder, words, env)))
        processes[-1].start()
    return processes


def finish(processes: list[BaseProcess], folders: list[Path]) -> list[int | None]:
    for process in processes:
        process.join(150)
        process.kill()
    return [process.exitcode for process in processes]


def run(folders: list[Path], cache: Path, words: list[str], **more: str) -> None:
    codes = finish(start(folders, cache, words, **more), folders)
    screens = "\n".join((folder / "screen.txt").read_text() for folder in folders)
    expected = 143 if more.get("PAUSE", "").startswith("sigterm") else 0
    assert codes == [expected] * len(folders), screens


def curves(folder: Path) -> dict[str, list[float]]:
    with (folder / "run" / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(n) for n in range(STEPS)]
    return {
        name: [float(row[name] or "nan") for row in rows] for name in rows[0] if name != "seconds"
    }


def written(folder: Path) -> set[str]:
    run = folder / "run"
    return {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """Twenty steps in one process."""
    folder = tmp_path_factory.mktemp("one")
    run([folder], shared_cache, [*RUN, "data.batch_size=4"])
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> tuple[Path, Path]:
    """The same in two, with W&B."""
    folder = tmp_path_factory.mktemp("two")
    words = [*RUN, *DDP, "data.batch_size=2", "logger=wandb"]
    run([folder / "0", folder / "1"], shared_cache, words)
    return folder / "0", folder / "1"


def test_two_processes_equal_one(one: Path, two: tuple[Path, Path]) -> None:
    alone, together = curves(one), curves(two[0])
    assert together.keys() == alone.keys()
    for name, values in alone.items():
        assert together[name] == pytest.approx(values, rel=1e-4, nan_ok=True), name


def test_one_process_writes(two: tuple[Path, Path]) -> None:
    """Of rank 1 only the predictions of its own cases; every case once."""
    first, second = map(written, two)
    assert {name.split("/")[0] for name in second} == {"predictions"}
    predictions = {name for name in first if name.startswith("predictions/")}
    assert not predictions & second
    cases = json.loads((two[0] / "run" / "split.json").read_text())["test"]
    assert len(predictions | second) == len(cases)
    assert {"config.yaml", "curves.csv", "cases.csv", "metrics.json", "provenance.json", "run.log",
            "checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= first  # fmt: skip
    assert len(list((two[0] / "run" / "wandb").glob("**/*.wandb"))) == 1


def test_scores_are_those_of_one_process(
    one: Path, two: tuple[Path, Path], shared_cache: Path
) -> None:
    """From the same weights, with one test case more than ranks can share evenly."""

    def read(name: str) -> Any:
        return (one / "run" / name).read_text()

    before = {name: read(name) for name in ("metrics.json", "cases.csv")}
    words = ["evaluate", f"run={one / 'run'}", *DDP]
    run([one / "0", one / "1"], shared_cache, words)
    assert {name: read(name) for name in before} == before


@pytest.mark.slow
def test_an_ensemble_is_that_of_one_process(one: Path, tmp_path: Path, shared_cache: Path) -> None:
    """Two seeds that were tested on the same cases answer together: by one rank, by two, and by
    `predict`, far from the data."""
    other = [*RUN, "data.batch_size=4", "seed=1", "trainer.max_epochs=2", "hydra.run.dir=other"]
    run([tmp_path], shared_cache, [*other, "trainer.check_val_every_n_epoch=1"])
    both = f"run=[{one / 'run'},{tmp_path / 'other'}]"
    words = ["evaluate", both, "hydra.run.dir=run"]
    run([tmp_path], shared_cache, words)
    ranks = [tmp_path / "0", tmp_path / "1"]
    run(ranks, shared_cache, [*words, *DDP])
    for name in ("metrics.json", "cases.csv", "look_first.csv"):
        assert (ranks[0] / "run" / name).read_text() == (tmp_path / "run" / name).read_text(), name
        assert not (ranks[1] / "run" / name).exists()
    assert "2 runs were tested on the same cases" in (tmp_path / "screen.txt").read_text()
    assert "Each run" not in (ranks[1] / "screen.txt").read_text()
    images = next(shared_cache.glob("phantoms/PhantomMasks*-30-*/slices/images"))
    run([tmp_path], shared_cache, ["predict", both, f"input={images}", "output=out"])
    masks = {path.name: path.read_bytes() for path in (tmp_path / "run/predictions").iterdir()}
    alone = {name: (one / "run/predictions" / name).read_bytes() for name in masks}
    assert masks != alone
    for name, content in masks.items():
        assert (tmp_path / "out" / name).read_bytes() == content, name


@pytest.mark.slow
def test_calibration_is_that_of_one_process(tmp_path: Path, shared_cache: Path) -> None:
    """In processes that torchrun starts, and in those that Lightning forks for each call."""
    run([tmp_path], shared_cache, CLASSIFIER)
    files = [tmp_path / "run" / f for f in ("calibration.json", "cases.csv", "metrics.json")]
    alone = [file.read_text() for file in files]
    forked = ["trainer.devices=2", "trainer.accelerator=cpu", "+trainer.strategy=ddp_fork"]
    for words, ranks in ((DDP, ("0", "1")), (forked, ("",))):
        for file in files:
            file.unlink()
        again = ["evaluate", f"run={tmp_path / 'run'}", *words]
        run([tmp_path / rank for rank in ranks], shared_cache, again)
        assert [file.read_text() for file in files] == alone, words


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_run_resumes_on_another_number_of_ranks(
    before: int, after: int, one: Path, tmp_path: Path, shared_cache: Path
) -> None:
    """It keeps its global batch. Both work in one folder now, as on one file system."""
    words = [*RUN, f"data.batch_size={4 // before}", *(DDP if before == 2 else [])]
    run([tmp_path] * before, shared_cache, words, PAUSE="sigterm 9")
    more = DDP if after == 2 else ["trainer=default", "trainer.accelerator=cpu"]
    run([tmp_path] * after, shared_cache, ["resume=run", *more, f"trainer.max_epochs={STEPS}"])
    alone, resumed = curves(one), curves(tmp_path)
    for name, values in alone.items():
        assert resumed[name] == pytest.approx(values, rel=1e-4, nan_ok=True), name


@pytest.mark.slow
@pytest.mark.parametrize("dies", [0, 1])
def test_a_rank_that_dies_ends_the_others(dies: int, tmp_path: Path, shared_cache: Path) -> None:
    """As started by Lightning: `trainer=ddp`, each process with its own interpreter."""
    words = [word for word in RUN if "callbacks.pause" not in word]
    words = [*words, *DDP, "data.batch_size=2", "trainer.max_epochs=100000"]
    env = {**os.environ, "MEDLIGHT_CACHE": str(shared_cache)}
    first = subprocess.Popen([sys.executable, "-m", "medlight", *words], cwd=tmp_path, env=env)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    wait(last.exists, 120)
    (second,) = children(first.pid)
    os.kill((first.pid, second)[dies], signal.SIGKILL)
    wait(lambda: first.poll() is not None and not Path(f"/proc/{second}").exists(), 30)
    assert first.returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["die", "hang"])
def test_nobody_waits_longer_than_the_timeout(how: str, tmp_path: Path, shared_cache: Path) -> None:
    """Where no launcher looks after the processes, as on two machines."""
    words = [*RUN, *DDP, "data.batch_size=2", "trainer.strategy.timeout.minutes=0.5"]
    folders = [tmp_path / "0", tmp_path / "1"]
    first, second = start(folders, shared_cache, words, PAUSE=f"{how} 3")
    wait((folders[1] / "here").exists, 300)
    first.join(90)
    second.kill()
    screen = (folders[0] / "screen.txt").read_text()
    assert first.exitcode == 1, screen
    assert "RuntimeError" in screen  # of the exchange that the other is missing from


@pytest.mark.slow
def test_torchrun_starts_one_run_on_two_machines(tmp_path: Path, shared_cache: Path) -> None:
    """Two agents, as docs/scaling.md has them, that share a file system."""
    own = ("callbacks.pause", "hydra.run.dir", "trainer.max_epochs")
    words = [word for word in RUN if not any(key in word for key in own)]
    agent = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1",
             "--rdzv-id=hippo1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}",
             "-m", "medlight"]  # fmt: skip
    more = ["trainer=ddp", "trainer.devices=1", "+trainer.num_nodes=2", "trainer.accelerator=cpu"]
    agents = [
        subprocess.Popen(
            [*agent, *words, *more, "data.batch_size=2", "trainer.max_epochs=2"],
            cwd=tmp_path,
            env={**os.environ, "MEDLIGHT_CACHE": str(shared_cache)},
        )
        for _ in range(2)
    ]
    try:
        assert [each.wait(400) for each in agents] == [0, 0]
    finally:
        for each in agents:
            each.kill()
    (folder,) = (tmp_path / "outputs" / "seg_unet2d").iterdir()
    assert folder.name == "torchrun-hippo1"
    assert json.loads((folder / "provenance.json").read_text())["hardware"]["devices"] == 2
    assert len((folder / "curves.csv").read_text().splitlines()) == 1 + 2


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait(until: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    named = {int(each): Path(f"/proc/{each}/cmdline").read_text() for each in found}
    return [each for each, line in named.items() if "medlight" in line]
