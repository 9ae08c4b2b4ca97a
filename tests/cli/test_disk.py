"""A place that cannot be written to, or a full disk, is said in one line; hints can be pasted."""

import errno
import json
import os
import shlex
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medlight.cli.options import explain_os_error
from medlight.runs.files import write_text
from medlight.sweep import command
from medlight.sweep.sweep import Fingerprints

RUN = [
    "experiment=seg_unet2d", "data.n_cases=20", "data.batch_size=2", "data.epoch_samples=4",
    "model.channels=[4,8]", "model.strides=[2]", "trainer.max_epochs=1", "trainer.accelerator=cpu",
    "~callbacks.panels", "callbacks.results.predictions=false",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDLIGHT_CACHE", str(shared_cache))


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be made in the working directory."""
    mkdir = os.mkdir

    def refuse(path: Any, *args: Any, **options: Any) -> None:
        if str(path).startswith(("outputs", f"{Path.cwd()}/outputs", "compar")):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        mkdir(path, *args, **options)

    monkeypatch.setattr(os, "mkdir", refuse)


@pytest.mark.parametrize("words", [RUN, ["-m", *RUN, "seed=0,1"]], ids=["run", "sweep"])
def test_a_read_only_folder(
    words: list[str], read_only: None, run_cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback of 30 lines told so."""
    context = SimpleNamespace(Process=threading.Thread)  # a server of processes takes seconds
    monkeypatch.setattr(command, "process_context", lambda: context)
    monkeypatch.setattr(Fingerprints, "of", lambda *_: "data")
    code, _, err = run_cli(*words)
    assert (code, err.count("\n")) == (1, 1), err
    assert err.startswith("error: outputs")
    assert "Read-only file system: give a place that may be written to: hydra.run.dir=" in err


def test_a_full_disk_leaves_what_was_whole(
    run_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 lines of tracebacks, and 13 MB of last.part."""
    saved = 0

    def full(_: int) -> None:
        nonlocal saved
        saved += 1
        if saved > 1:  # best.ckpt has been written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("medlight.tasks.checkpoint.os.fsync", full)
    code, _, err = run_cli(*RUN, "hydra.run.dir=my run")
    assert (code, err.count("\n")) == (1, 1), err
    assert "last.part: No space left on device: make room, and type the command again" in err
    run = tmp_path / "my run"
    assert json.loads((run / "provenance.json").read_text())["status"] == "failed"
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["best.ckpt"]
    monkeypatch.undo()


def chained(inner: Exception, outer: Exception) -> Exception:
    """An error that was raised while another one was handled."""
    outer.__context__ = inner
    return outer


def test_only_what_is_known_of_a_disk_is_explained() -> None:
    full, bug = OSError(errno.ENOSPC, "full"), ValueError("a bug")
    assert "full: make room" in str(explain_os_error(chained(full, RuntimeError("unexpected pos"))))
    assert explain_os_error(FileNotFoundError(errno.ENOENT, "no such file", "x")) is None
    assert explain_os_error(bug) is None
    assert explain_os_error(chained(PermissionError(errno.EACCES, "handled", "x"), bug)) is None


@pytest.mark.parametrize(
    "name", ["x" * 247, "x" * 251, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 125]
)
def test_a_long_name_of_a_case_is_written(tmp_path: Path, name: str) -> None:
    """What is written beside the file, to take its place, had 10 characters more."""
    write_text(tmp_path / f"{name}.csv", "whole")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


def test_a_name_that_is_too_long_is_said(run_cli) -> None:
    err = run_cli(*RUN, f"hydra.run.dir={'x' * 300}").err
    assert err.count("\n") == 1, err
    assert err.endswith("File name too long: give it a shorter one\n")


def test_a_hint_can_be_pasted_into_a_shell(run_cli, tmp_path: Path) -> None:
    """`medlight resume=out/my run` was answered with: run is neither a verb nor key=value."""
    for name in ("my run", "it's", "$(x) & y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "provenance.json").write_text('{"status": "running"}')
        err = run_cli("compare", name, name).err
        words = shlex.split(err.partition("medlight ")[2])
        assert words == [f"resume={name}"]
        assert "holds no config.yaml" in run_cli(*words).err
