"""The state of a job outlives every process that had to do with it."""

from pathlib import Path

from medlight.sweep.job import DONE, INTERRUPTED, RUNNING, WAITING, Job


def test_a_job_that_nobody_began_is_waiting(tmp_path: Path) -> None:
    assert Job(tmp_path / "x").current_status().state == WAITING


def test_a_running_job_is_interrupted_once_its_process_is_killed(tmp_path: Path, holder) -> None:
    job = Job(tmp_path)
    job.update(state=RUNNING, epoch=3)
    process = holder(tmp_path / ".lock")
    assert job.current_status().state == RUNNING
    process.kill()
    process.wait()
    assert (job.current_status().state, job.current_status().epoch) == (INTERRUPTED, 3)
    with job.locked():  # and its lock is free
        job.update(state=DONE)
    assert job.current_status().state == DONE


def test_a_file_of_another_version_is_read_for_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"state": "done", "from_the_future": 1}')
    assert Job(tmp_path).read().state == DONE


def test_describing_again_leaves_what_a_process_has_written(tmp_path: Path) -> None:
    job = Job(tmp_path / "x")
    job.set_overrides(["seed=1"])
    job.update(state=RUNNING)
    before = (tmp_path / "x" / "job.json").stat().st_mtime_ns
    job.set_overrides(["seed=1"])
    assert (tmp_path / "x" / "job.json").stat().st_mtime_ns == before
