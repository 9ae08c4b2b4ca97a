"""A bar where somebody looks, a line per epoch where nobody does."""

import doctest
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from medlight.callbacks import throughput
from medlight.callbacks.progress import Progress
from medlight.runs import files


def test_one_line_an_epoch_in_a_log(
    new_run: Callable[..., Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.INFO, "medlight")
    run = new_run("volumes", tmp_path, [Progress(metric="val/dice")], epochs=3)
    run.fit()
    loss = float(run.trainer.callback_metrics["train/loss"])
    run.test()
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("medlight")]
    assert len(lines) == 3
    found = re.fullmatch(
        r"epoch 3/3  loss ([\d.]+)  val/dice ([\d.]+)  samples/s [\d.e+]+  left 0:00", lines[-1]
    )
    assert found
    assert float(found[1]) == pytest.approx(loss, abs=1e-4)
    assert capsys.readouterr().out == ""


BAR = """
import importlib.util, sys
from pathlib import Path
from medlight.callbacks.progress import Progress
spec = importlib.util.spec_from_file_location("tiny", sys.argv[1])
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)
tiny.make_run("volumes", Path("."), [Progress(metric="val/dice")], epochs=2).fit()
"""


@pytest.mark.slow
def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    reader, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", BAR, str(Path(__file__).with_name("conftest.py"))],
        stdin=terminal, stdout=terminal, stderr=terminal, cwd=tmp_path,
        env={**os.environ, "COLUMNS": "110", "TERM": "xterm"},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        while block := os.read(reader, 4096):
            shown += block
    except OSError:  # the other side has closed it
        pass
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "epoch 2/2" in text
    assert re.search(
        r"3/3 +loss: \d\.\d+ val/dice: \d\.\d+ samples/s: [\d.e+]+ left: \d:\d\d", text
    )


def test_speed_leaves_out_what_is_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now[0])

    class TwoRanks:
        world_size = 2

    watch = throughput.TrainingThroughput()
    for wait, then in ((2.0, "batch"), (50.0, "start"), (2.0, "batch")):
        now[0] += wait
        if then == "batch":
            watch.batch(TwoRanks(), {"image": [0, 0, 0]})  # type: ignore[arg-type]
        else:
            watch.start()
    assert watch.samples_per_s == 12 / 4


@pytest.mark.parametrize("module", [files, throughput])
def test_examples(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
