"""Two ranks of one run meet at an empty store: both train, and every case is made once."""

import multiprocessing
import os
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import medlight.data.cases as cases
from medlight.cli.main import main
from medlight.core.case import Case
from medlight.datasets.phantom import PhantomDataModule
from medlight.io.store.case_file import PreparedCase
from medlight.io.store.store import Store
from medlight.transforms.volume import Volume

CASES = 12
RUN = [
    "experiment=seg_unet3d",
    "data=phantom",
    f"data.n_cases={CASES}",
    "data.patch=[16,16,16]",
    "data.epoch_samples=8",
    "data.fold=0",
    "model.channels=[4,8]",
    "model.strides=[2]",
    "trainer=ddp",
    "trainer.devices=2",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "hydra.run.dir=run",
]


def enter(folder: Path, store: Path, cache: Path, env: dict[str, str]) -> None:
    """A rank as torchrun starts it, that notes which cases it makes."""
    os.chdir(folder)
    os.environ |= env
    warnings.resetwarnings()  # as a run has them, not as pytest does
    prepare = cases.prepare_case

    def noted(case: Case, **how: Any) -> PreparedCase:
        with (folder / f"made{env['RANK']}").open("a") as file:
            file.write(f"{case.id}\n")
        return prepare(case, **how)

    cases.prepare_case = noted
    screen = os.open("screen.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(screen, 1)
    os.dup2(screen, 2)
    words = [*RUN, f"store.folder={store}", f"paths.cache={cache}"]
    sys.stdout = sys.stderr = os.fdopen(screen, "w", buffering=1)
    sys.argv = ["medlight", *words]
    sys.exit(main(words))


def test_two_ranks_fill_an_empty_store_together(tmp_path: Path, shared_cache: Path) -> None:
    store = tmp_path / "store"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = []
    for rank in range(2):
        env = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "NODE_RANK": "0"}
        env |= {"LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        env |= {"GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
        words = (tmp_path, store, shared_cache, env)
        ranks.append(multiprocessing.get_context("fork").Process(target=enter, args=words))
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(240)
    screen = (tmp_path / "screen.txt").read_text()
    assert [process.exitcode for process in ranks] == [0, 0], screen
    made = [name for note in tmp_path.glob("made*") for name in note.read_text().split()]
    assert len(made) == len(set(made)) == CASES, "each case once, by one of them"
    alone = PhantomDataModule(
        cache=shared_cache, n_cases=CASES, store=Store(folder=store), transforms=Volume()
    )
    assert len(list(store.glob("??/*.case"))) == CASES
    assert not list(store.rglob(".*.case")), "nothing half-written"
    assert len(alone.prepare(check=True)) == CASES
    other = PhantomDataModule(
        cache=shared_cache,
        n_cases=CASES,
        store=Store(folder=tmp_path / "other"),
        transforms=Volume(),
    )
    for one, two in zip(alone.prepare().paths, other.prepare().paths, strict=True):
        assert one.name == two.name
        np.testing.assert_array_equal(*(np.fromfile(path, np.uint8) for path in (one, two)))
