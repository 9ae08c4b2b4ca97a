"""No look-up, no connection but to this machine, and no file outside of run, cache and store."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import medlight

GUARD = """
import os, socket

HERE = {None, "", "localhost", "127.0.0.1", "::1"}

def refuse(what):
    with open(os.environ["GUARD_LOG"], "a") as file:
        file.write(f"{what}\\n")
    raise OSError(f"refused: {what}")

def guarded(real, where):
    def call(*args, **kwargs):
        host = where(args)
        if (host.decode() if isinstance(host, bytes) else host) not in HERE:
            refuse(f"{real.__name__} {host}")
        return real(*args, **kwargs)
    return call

def host_of(args):
    address = args[-1]
    return address[0] if isinstance(address, tuple) else None

for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
    setattr(socket, name, guarded(getattr(socket, name), lambda args: args[0]))

class Guarded(socket.socket):
    pass

for name in ("connect", "connect_ex", "sendto"):
    setattr(Guarded, name, guarded(getattr(socket.socket, name), host_of))
socket.socket = Guarded
"""
ALLOWED = (".cache/medlight/", ".cache/matplotlib/")
"""Below the home: our cache and store, and matplotlib's list of this machine's fonts."""
Watched = Callable[..., str]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Run Python with no network and an empty home; what it wrote and asked for is looked at."""
    guard, home, work = (tmp_path / name for name in ("guard", "home", "work"))
    for folder in (guard, home, work):
        folder.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    log = tmp_path / "log"

    def run(*words: str, source: bool = True) -> str:
        paths = [str(guard), *([str(Path(medlight.__file__).parents[1])] if source else [])]
        env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(work),
            "GUARD_LOG": str(log), "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, *words], cwd=work, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert not log.exists(), log.read_text()
        files = [p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file()]
        assert not [file for file in files if not file.startswith(ALLOWED)]
        return done.stdout + done.stderr

    return run


def test_the_guard_sees_a_look_up_and_a_connection(watched: Watched) -> None:
    for line in (
        "socket.getaddrinfo('example.org', 80)",
        "socket.socket().connect(('192.0.2.1', 80))",
        "urllib.request.urlopen('http://example.org')",
    ):
        with pytest.raises(AssertionError, match="refused"):
            watched("-c", f"import socket, urllib.request; {line}")


def test_nothing_that_is_imported_reports_home(watched: Watched) -> None:
    modules = "medlight.cli.launch, medlight.loggers.wandb, wandb, matplotlib.figure"
    assert watched("-c", f"import {modules}; print('done')").endswith("done\n")


@pytest.mark.slow
def test_a_run_its_export_and_the_exported_predictor_report_nothing_home(
    watched: Watched, tmp_path: Path
) -> None:
    words = ("experiment=seg_unet3d_quick", "data=phantom", "data.n_cases=6")
    work = tmp_path / "work"
    watched("-m", "medlight", *words, "trainer.max_epochs=1", f"hydra.run.dir={work}/run")
    watched("-m", "medlight", "export", f"run={work}/run", "format=onnx", f"output={work}/net")
    (image, *_) = sorted((tmp_path / "home").rglob("imagesTr/*.nii.gz"))
    watched(f"{work}/net/run.py", str(image), f"{work}/mask.nii.gz", source=False)
    assert (work / "mask.nii.gz").is_file()
    watched("-m", "medlight", "compare", f"{work}/run")
