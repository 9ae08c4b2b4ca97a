"""One run in one directory: a used one is refused, unless the command says what to do about it."""

import hashlib
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from medlight.cli import claim
from medlight.cli.claim import claim_run_dir
from medlight.cli.config import register, run_token, save_config
from medlight.cli.options import conf_dir
from medlight.core.errors import ConfigError


def composed(run_dir: Path, *overrides: str) -> DictConfig:
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", ["data=phantom", f"paths.run_dir={run_dir}", *overrides])


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a finished run, with a file that is not the run's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(claim, "LOCK_TIMEOUT_S", 0.1)
    run = Path("run")
    save_config(composed(run), run / "config.yaml")
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").write_text("weights")
    (run / "provenance.json").write_text('{"status": "finished"}')
    (run / "notes.txt").write_text("mine")
    return run


def digest(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != ".lock"
    }


@pytest.mark.parametrize("words", [["seed=3", "loss=cross_entropy"], [], ["job=check"]])
def test_a_used_directory_is_refused(used: Path, words: list[str]) -> None:
    """Weights and scores of the first run were filed under the settings of the second."""
    before = digest(used)
    with (
        pytest.raises(ConfigError, match=r"resume=run goes on.*resume=auto.*overwrite=true"),
        claim_run_dir(composed(used, *words), used),
    ):
        pass
    assert digest(used) == before


def test_a_checkpoint_alone_is_a_run(used: Path) -> None:
    (used / "provenance.json").unlink()
    with pytest.raises(ConfigError), claim_run_dir(composed(used), used):
        pass


def test_a_start_that_failed_at_once_leaves_a_directory_that_may_be_used(tmp_path: Path) -> None:
    save_config(composed(tmp_path), tmp_path / "config.yaml")
    before = digest(tmp_path)
    with claim_run_dir(composed(tmp_path), tmp_path):
        assert digest(tmp_path) == before  # neither refused nor emptied


def test_overwriting_removes_the_run_and_nothing_else(used: Path) -> None:
    cfg = composed(used, "overwrite=true")
    with claim_run_dir(cfg, used):
        assert sorted(digest(used)) == ["run/notes.txt"]
    assert cfg.overwrite is False  # a later resume of this run must not


def test_resume_auto_starts_and_goes_on(used: Path, tmp_path: Path) -> None:
    cfg = composed(tmp_path / "new", "resume=auto")
    with claim_run_dir(cfg, tmp_path / "new"):
        assert cfg.resume is None
    cfg = composed(used, "resume=auto", "trainer.max_epochs=7")
    with claim_run_dir(cfg, used):
        assert cfg.resume == "run"


def test_resume_auto_does_not_go_on_with_another_run(used: Path) -> None:
    before = digest(used)
    cfg = composed(used, "resume=auto", "seed=3")
    with pytest.raises(ConfigError, match="seed was 0, is 3"), claim_run_dir(cfg, used):
        pass
    assert digest(used) == before


def test_resume_auto_needs_a_directory_that_is_found_again(tmp_path: Path) -> None:
    run = tmp_path / f"2026-01-01_{run_token()}"
    with (
        pytest.raises(ConfigError, match=r"give hydra\.run\.dir"),
        claim_run_dir(composed(run, "resume=auto"), run),
    ):
        pass


@pytest.mark.parametrize("names", [{"RANK": "1"}, {"SLURM_PROCID": "3"}])
def test_further_processes_follow_the_first(
    used: Path, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    cfg = composed(used, "resume=auto")
    with claim_run_dir(cfg, used), claim_run_dir(composed(used), used):
        assert cfg.resume == "run"


def hold(run: Path, ready: "multiprocessing.synchronize.Event") -> None:  # type: ignore[name-defined]
    with claim_run_dir(composed(run, "resume=run"), run):
        ready.set()
        signal.pause()


def test_two_at_once_are_refused_until_one_is_killed(used: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    other = context.Process(target=hold, args=(used, ready))
    other.start()
    try:
        assert ready.wait(30)
        for words in (["resume=run"], ["overwrite=true"], []):
            with (
                pytest.raises(ConfigError, match="another run is at work"),
                claim_run_dir(composed(used, *words), used),
            ):
                pass
    finally:
        os.kill(other.pid or 0, signal.SIGKILL)
        other.join()
    with claim_run_dir(composed(used, "resume=run"), used):
        pass


def test_a_refusal_leaves_no_line_in_the_log_of_the_run(run_cli, used: Path) -> None:
    (used / "run.log").write_text("trained\n")
    before = digest(used)
    code, _, err = run_cli("data=phantom", f"hydra.run.dir={used}")
    assert (code, err.count("\n")) == (1, 1)
    assert "overwrite=true" in err
    assert digest(used) == before


def test_a_sweep_is_not_overwritten(run_cli) -> None:
    assert "overwrite= is for one run" in run_cli("-m", "seed=0,1", "overwrite=true").err
