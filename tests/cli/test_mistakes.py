"""What is misspelt gets one line that says what is near it, and exit code 1."""

from pathlib import Path

import pytest

from medlight.cli.errors import explain_error
from medlight.core.errors import DataError

MISTAKES = {
    "optimiser=adamw": ["optimiser", "did you mean optimizer?"],
    "experimnt=seg_unet3d": ["did you mean experiment?"],
    "model=unet3": ["model has no option unet3", "unet3d"],
    "experiment=seg_unet": ["experiment has no option seg_unet", "seg_unet2d", "seg_unet3d_quick"],
    "model=nothing_like_it": ["known: attention_unet", "segresnet"],
    "model.chanels=8": ["no key model.chanels", "did you mean model.channels?"],
    "trainer.max_epoch=3": ["did you mean trainer.max_epochs?"],
    "trainer.max_epochs.x=3": ["trainer.max_epochs is a value", "no trainer.max_epochs.x"],
    "task.net.channels=3": ["task.net is ${model}: set channels there"],
    "model.channels.9=3": ["no key model.channels.9", "model.channels.3"],
    "lr=3": ["no group or key lr", "did you mean optimizer.lr"],
    "bach_size=3": ["data.batch_size"],
    "seed=x": ["seed=x", "could not be converted to Integer"],
    "~model.chanels": ["no key model.chanels"],
    "hydra.rn.dir=x": ["hydra.rn"],
    "data.task=[1,2": ["cannot read data.task=[1,2", "quote"],
    "seed=1,2": ["seed=1,2", "--multirun"],
    "experiment seg_unet3d": ["experiment needs a value", "seg_unet3d_quick"],
    "seg_unet3d": ["seg_unet3d is not a verb", "did you mean experiment=seg_unet3d?"],
    "evalute run=x": ["evalute is neither a verb nor key=value", "did you mean evaluate?"],
    "seed=1 unet3d": ["did you mean model=unet3d?"],
    "--mulirun seed=1": ["--mulirun", "--help"],
    "resume=nowhere": ["nowhere is not a run directory", "does not exist"],
    "evaluate run=.": ["holds no config.yaml"],
    "run=x": ["medlight evaluate run="],
    "-m model=unet3d,unt": ["model has no option unt", "unet2d"],
}


@pytest.mark.parametrize("words", MISTAKES)
def test_one_line(run_cli, words: str) -> None:
    code, out, err = run_cli(*words.split())
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for part in MISTAKES[words]:
        assert part in err


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("modle: {a: 1}", ["experiment/mine.yaml", "modle", "model"]),
        ("defaults:\n  - override /model: unet3\n", ["unet3", "unet3d"]),
        ("defaults:\n  - override /mdel: unet3d\n", ["experiment/mine.yaml", "mdel", "model"]),
        ("name: ${nme}", ["nme"]),
        ("model: {chanels: [1]}", ["model.chanels", "UNet", "did you mean channels"]),
        ("data: {_target_: medlight.datasets.nothing.X}", ["data._target_", "does not exist"]),
    ],
)
def test_one_line_for_a_mistake_in_an_experiment(
    run_cli, tmp_path: Path, body: str, parts: list[str]
) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{body}\n")
    code, _, err = run_cli("experiment=mine")
    assert code == 1
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err


MINE = """
from medlight.core.errors import DataError
from medlight.cli.errors import explain_error

def data(kind, **settings):
    if kind == "mendable":
        raise DataError("case 7: no mask")
    if kind == "bug":
        raise ZeroDivisionError("a bug")
    raise KeyboardInterrupt
"""


@pytest.fixture
def mine(tmp_path: Path) -> list[str]:
    """A data set of the user's own that fails in a manner of choice."""
    (tmp_path / "failing_data.py").write_text(MINE)
    return ["data._target_=failing_data.data", "hydra.run.dir=out"]


def test_a_job_that_fails(run_cli, mine: list[str], tmp_path: Path) -> None:
    assert run_cli(*mine, "+data.kind=mendable") == (1, "", "error: case 7: no mask\n")
    log = tmp_path / "out" / "run.log"
    assert "case 7: no mask" in log.read_text()
    assert not (tmp_path / "out" / ".hydra").exists()

    code, _, err = run_cli(*mine, "+data.kind=bug")
    assert code == 1
    assert err.startswith("Traceback")
    assert "ZeroDivisionError: a bug" in err
    assert "ZeroDivisionError: a bug" in log.read_text()

    assert run_cli(*mine, "+data.kind=interrupt")[::2] == (130, "interrupted\n")


@pytest.mark.slow
def test_every_failing_job_of_a_sweep_is_told(run_cli, mine: list[str], tmp_path: Path) -> None:
    code, out, err = run_cli("-m", mine[0], "+data.kind=mendable,bug")
    assert (code, err) == (1, "")
    assert "kind=mendable failed: case 7: no mask (outputs/sweeps/medlight_kind/" in out
    assert "kind=bug failed: " in out
    logs = "".join(log.read_text() for log in tmp_path.glob("outputs/sweeps/*/*/run.log"))
    assert "ZeroDivisionError: a bug" in logs


def test_an_error_from_a_loading_process_is_one_line_too(tmp_path: Path) -> None:
    text = "Caught DataError in worker 0.\nOriginal Traceback (...)\nmedlight.DataError: case 8: x"
    assert explain_error(DataError(text), [], [], "config") == "case 8: x"
