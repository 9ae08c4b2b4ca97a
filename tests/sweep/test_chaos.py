"""`make chaos`: a sweep that is killed again and again ends with the table of one that is not."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

WORDS = ["seed=0,1,2,3,4,5,6,7", "optimizer.lr=1e-3,3e-3,1e-2", "trainer.max_epochs=4"]
JOBS, KILLS = 24, 5


def family(pid: int) -> list[int]:
    """A process and its descendants, as far as they are still there."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(each for child in children for each in family(int(child)))]


@pytest.mark.slow
def test_killed_at_random_the_table_is_the_same(typed, tmp_path: Path) -> None:
    code, out = typed(*WORDS)
    assert code == 0, out
    wanted = (typed.sweep / "ranking.csv").read_text()
    assert len(wanted.splitlines()) == 1 + JOBS
    typed.sweep.rename(tmp_path / "undisturbed")

    chance = random.Random(0)
    for kill in range(KILLS):
        process = typed.start(*WORDS)
        done = JOBS * kill // (KILLS + 1)  # so that the kills fall all over the sweep
        while sum(each["state"] == "done" for each in typed.statuses().values()) < done + 1:
            time.sleep(0.05)
            assert process.poll() is None
        time.sleep(chance.uniform(0, 6))
        for pid in family(process.pid):  # parents first: they would start again what dies
            os.kill(pid, signal.SIGKILL)
        process.communicate()
    code, out = typed(*WORDS)
    assert code == 0, out
    assert (typed.sweep / "ranking.csv").read_text() == wanted
    assert sum(each["attempts"] for each in typed.statuses().values()) > JOBS
