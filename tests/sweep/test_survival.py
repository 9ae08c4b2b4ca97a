"""kill -9, at the worst place: whatever of a sweep dies, the same command ends it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

EPOCHS = 12


def wait_for(what, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def family(pid: int) -> list[int]:
    """A process and its descendants, parents first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def training(typed) -> bool:
    return any(s["state"] == "running" and s["epoch"] >= 2 for s in typed.statuses().values())


def killed(typed, process: subprocess.Popen[str], whom: str) -> int:
    """Kill -9 while the first job trains; the job's process, halted where it is to go on."""
    wait_for(lambda: training(typed))
    pids = family(process.pid)
    if whom == "sweep":
        os.kill(pids[-1], signal.SIGSTOP)
    for pid in {"job": pids[-1:], "sweep": pids[:1], "tree": pids}[whom]:
        os.kill(pid, signal.SIGKILL)
    return pids[-1]


def epochs(folder: Path) -> list[int]:
    lines = (folder / "curves.csv").read_text().splitlines()[1:]
    return [int(line.split(",")[0]) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["tree", "sweep", "job"])
def test_the_same_command_goes_on(typed, whom: str) -> None:
    words = ["seed=0,1", f"trainer.max_epochs={EPOCHS}"]
    process = typed.start(*words)
    survivor = killed(typed, process, whom)
    if whom == "job":
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, "the sweep takes up a job whose process dies"
        assert "interrupted, its process was killed by signal 9" in out
        assert "resumed after epoch" in out
    else:
        assert process.stdout
        process.stdout.close()
        assert process.wait(60) == -signal.SIGKILL
        process = typed.start(*words)
        assert process.stdout
        out = process.stdout.readline()
        if whom == "sweep":
            os.kill(survivor, signal.SIGCONT)
        out += process.communicate(timeout=600)[0]
        assert process.returncode == 0, out
        assert ("1 interrupted: resuming" if whom == "tree" else "1 still running") in out
        assert "1 new" in out
    statuses = typed.statuses()
    assert [each["state"] for each in statuses.values()] == ["done", "done"]
    assert sorted(each["attempts"] for each in statuses.values()) == ([1, 1] if whom == "sweep"
                                                                    else [1, 2])  # fmt: skip
    for key in statuses:
        assert epochs(typed.sweep / key) == list(range(EPOCHS))
        assert (typed.sweep / key / "metrics.json").is_file()


@pytest.mark.slow
def test_being_asked_to_end_is_no_failure(typed) -> None:
    process = typed.start("seed=0,1", "trainer.max_epochs=12")
    wait_for(lambda: training(typed))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert "The same command goes on from here" in out
    assert [each["state"] for each in typed.statuses().values()].count("interrupted") == 1
    assert not [each for each in typed.statuses().values() if each["failures"]]


@pytest.mark.slow
def test_ranks_of_a_job_are_not_sweeps(typed) -> None:
    """Lightning starts further ranks with the words of the first, which are the job's own."""
    ranks = ["trainer=ddp", "trainer.devices=2", "~callbacks.ema", "data.eval_batch_size=1"]
    code, out = typed("seed=0,1", *ranks, "trainer.max_epochs=1")
    assert code == 0, out
    for key, status in typed.statuses().items():
        assert (status["state"], status["attempts"]) == ("done", 1)
        provenance = (typed.sweep / key / "provenance.json").read_text()
        assert '"devices": 2' in provenance
        lines = (typed.sweep / key / "cases.csv").read_text().splitlines()
        assert len(lines) == 1 + 3 * 6, "every test case once"
    assert len(list(typed.sweep.parent.iterdir())) == 1
