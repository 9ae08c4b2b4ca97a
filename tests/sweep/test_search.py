"""Searches: what is asked, what counts, what a resume must not repeat."""

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf
from optuna.trial import TrialState

from medlight.cli.rerun import parse_overrides
from medlight.core.errors import ConfigError
from medlight.sweep import command, search
from medlight.sweep.credentials import PASSWORD_VARIABLE, hide_password, with_password
from medlight.sweep.job import DONE, Job, Status
from medlight.sweep.optuna_study import (
    ERROR,
    JOB,
    RETRY_OF,
    StudyConfig,
    count_finished,
    count_running,
    has_failed,
    retry_trial,
)
from medlight.sweep.search import OptunaSweep, suggest

SECRET = "open-sesame"
SPACE = ["optimizer.lr=tag(log,interval(1e-4,1e-1))"]


@pytest.fixture
def study_config(tmp_path: Path) -> StudyConfig:
    return StudyConfig(f"sqlite:///{tmp_path}/study.db", "s", "max", 9, 3, 0, (1, 3))


def drawn(study_config: StudyConfig, words: list[str], number: int = 0) -> list[str]:
    trial = study_config.open(reporting=True).ask()
    trial.study.sampler = study_config.sampler(number or trial.number)
    return suggest(trial, {o.get_key_element(): o for o in parse_overrides(words)})


@pytest.mark.parametrize(
    ("word", "wanted"),
    [("model=unet3d,segresnet", r"unet3d|segresnet"), ("a.n=range(2,9,2)", "2|4|6|8"),
     ("a.n=interval(1,3)", r"[123](\.\d+)?"), ("a.x=interval(0.0,0.5)", r"0\.\d+(e-\d+)?"),
     ("a.x=tag(log,interval(1e-5,1e-3))", r"\d(\.\d+)?e-0[45]|0\.000\d+"),
     ("a.c=[4,8],[8,16]", r"\[4,8\]|\[8,16\]")],
)  # fmt: skip
def test_spaces_in_hydras_words(study_config: StudyConfig, word: str, wanted: str) -> None:
    for _ in range(8):
        [text] = drawn(study_config, [word])
        key, _, value = text.partition("=")
        assert key == word.partition("=")[0]
        assert re.fullmatch(wanted, value), value
        assert parse_overrides([text])


def test_no_resume_draws_again_what_was_drawn(study_config: StudyConfig) -> None:
    """A sampler with a fixed seed would, each time its process starts anew."""
    seen = [drawn(study_config, SPACE)[0] for _ in range(20)]  # each with a study opened afresh
    assert len(set(seen)) == 20


def test_the_same_history_leads_to_the_same_trial(tmp_path: Path) -> None:
    places = [StudyConfig(f"sqlite:///{tmp_path}/{n}.db", "s", "max", 9, 3, 0, None) for n in "ab"]
    first, second = ([drawn(study_config, SPACE) for _ in range(5)] for study_config in places)
    assert first == second


@pytest.mark.slow
def test_the_sampler_learns_from_the_trials_of_all_brackets(tmp_path: Path) -> None:
    """As it does in a search that stops nothing early."""
    found = []
    for pruning in ((1, 3), None):
        study_config = StudyConfig(
            f"sqlite:///{tmp_path}/{pruning}.db", "s", "max", 9, 4, 0, pruning
        )
        for number in range(16):
            study = study_config.open()
            study.sampler = study_config.sampler(number)
            study.optimize(lambda t: -abs(t.suggest_float("x", 0.0, 1.0) - 0.8), n_trials=1)
        found.append([trial.params["x"] for trial in study.trials])
    pruned, whole_search = found
    assert pruned == whole_search
    assert statistics.median(abs(x - 0.8) for x in pruned[8:]) < 0.2, "it learns at all"


def test_a_password_travels_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "old")
    for plain in ("sqlite:///outputs/s/study.db", "postgresql+psycopg://me@here:5432/sweeps?a=b"):
        assert hide_password(plain) == plain
        assert PASSWORD_VARIABLE not in os.environ
    address = "postgresql+psycopg://me:p%40ss@here:5432/sweeps?a=b"
    assert hide_password(address) == address.replace(":p%40ss", "")
    assert os.environ[PASSWORD_VARIABLE] == "p@ss"
    assert with_password(hide_password(address), os.environ[PASSWORD_VARIABLE]) == address


def test_what_counts_as_done(study_config: StudyConfig) -> None:
    study = study_config.open(reporting=True)
    asked = [study.ask() for _ in range(5)]
    for trial in asked:
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr(JOB, f"j{trial.number}")
    study.tell(asked[0], 0.5)
    study.tell(asked[1], state=TrialState.PRUNED)
    asked[2].set_user_attr(ERROR, "no")
    study.tell(asked[2], state=TrialState.FAIL)
    study.tell(asked[3], state=TrialState.FAIL)  # found dead: not its job's fault
    assert (count_finished(study), count_running(study)) == (3, 1)
    assert [has_failed(trial) for trial in study.trials] == [False, False, True, False, False]
    retry_trial(study, study.trials[2])
    assert count_finished(study) == 2, "it has no answer until it is run again"
    again = study.ask()
    assert again.params == asked[2].params
    assert again.user_attrs == {RETRY_OF: 2, JOB: "j2"}


def test_what_is_typed_beats_the_preset() -> None:
    sweeper = OptunaSweep(params={"a.x": "interval(0,1)", "a.y": "interval(0,1)"})
    sweep_params = sweeper.sweep_params(parse_overrides(["a.x=3", "a.z=1,2", "seed=1"]))
    assert list(sweep_params) == ["a.y", "a.z"]


@pytest.mark.slow
def test_n_trials_is_the_total(typed) -> None:
    words = ["sweep=optuna", *SPACE, "trainer.max_epochs=3", "sweep.n_startup_trials=2"]
    code, out = typed(*words, "sweep.n_trials=2")
    assert code == 0, out
    first = typed.statuses()
    assert len(first) == 2
    code, out = typed(*words, "sweep.n_trials=3")
    assert code == 0, out
    assert "3 trials in outputs/sweeps/s: 2 done, 1 to go" in out
    statuses = typed.statuses()
    assert {key: statuses[key] for key in first} == first
    assert {each["state"] for each in statuses.values()} <= {"done", "pruned"}
    rates = [each["overrides"][0] for each in statuses.values()]
    assert len(set(rates)) == len(statuses) == 3


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_was(typed) -> None:
    words = ["sweep=optuna", *SPACE, "trainer.max_epochs=8", "sweep.n_trials=3",
             "sweep.prune=false"]  # fmt: skip
    process = typed.start(*words)
    end = time.monotonic() + 240
    while not any(each["epoch"] >= 2 for each in typed.statuses().values()):
        assert time.monotonic() < end
        time.sleep(0.05)
    for pid in _family(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    [key] = typed.statuses()
    code, out = typed(*words)
    assert code == 0, out
    statuses = typed.statuses()
    assert len(statuses) == 3, f"the dead trial was taken up, not replaced: {statuses}"
    assert {each["state"] for each in statuses.values()} == {"done"}
    assert statuses[key]["attempts"] == 2


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The address of a real server, begun for the test."""
    pytest.importorskip("psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    user = {"user": "postgres"} if os.geteuid() == 0 else {}  # the server refuses root
    (folder / "password").write_text(SECRET)
    if user:
        shutil.chown(folder, "postgres")
        shutil.chown(folder / "password", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "cwd": folder, **user}
    asks = ["-A", "scram-sha-256", "--pwfile=password"]
    subprocess.run([found[-1], "-D", "db", "-U", "me", *asks], check=True, **quiet)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    control = [found[-1].with_name("pg_ctl"), "-D", "db", "-w"]
    subprocess.run([*control, "-l", "log", "-o", options, "start"], check=True, **quiet)
    try:
        yield f"postgresql+psycopg://me:{SECRET}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
        shutil.rmtree(folder)


@pytest.mark.slow
def test_postgresql_serves_several_at_a_time_and_no_file_holds_its_password(
    typed, postgresql: str
) -> None:
    """Submitit's jobs are processes of their own, and what they are given lies in pickles."""
    typed.environ["SWEEPS"] = postgresql
    words = ["sweep=optuna", *SPACE, "sweep.n_trials=4", "sweep.storage=${oc.env:SWEEPS}",
             "launcher=submitit_local", "launcher.timeout_min=10"]  # fmt: skip
    code, out = typed(*words)
    assert code == 0, out
    assert list(typed.folder.rglob("*.pkl")), "there is where to look"
    for file in filter(Path.is_file, typed.folder.rglob("*")):
        assert SECRET.encode() not in file.read_bytes(), file
    assert not (typed.sweep / "study.db").exists()
    rates = [each["overrides"][0] for each in typed.statuses().values()]
    assert len(set(rates)) == 4
    import psycopg

    with psycopg.connect(postgresql.replace("+psycopg", "")) as connection:
        states = [state for (state,) in connection.execute("SELECT state FROM trials")]
    assert len(states) == 4
    assert set(states) <= {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize(
    "words",
    [
        ["trainer.check_val_every_n_epoch=5", "trainer.max_epochs=2"],
        ["+trainer.limit_val_batches=0"],
        ["~callbacks.checkpoint"],
    ],
)
def test_a_search_that_never_validates_is_refused(
    words: list[str], run_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each trial was trained, failed with a traceback, and was ranked."""
    context = SimpleNamespace(Process=threading.Thread)  # a server of processes takes seconds
    monkeypatch.setattr(command, "process_context", lambda: context)
    code, out, err = run_cli("sweep=optuna", "sweep.name=s", *SPACE, *words)
    assert (code, err.count("\n")) == (1, 1), out
    assert err.startswith("error: a search goes by val/dice")
    assert not (tmp_path / "outputs").exists()


def test_a_trial_without_a_score_ends_the_search(
    study_config: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    """As with trainer.max_steps of less than an epoch, which nobody can tell before."""
    cfg = OmegaConf.create({"metric": "val/dice"})
    job = Job(tmp_path / "job")
    sweep = SimpleNamespace(cfg=cfg, compose=lambda _: cfg, job=lambda *_: job)
    monkeypatch.setattr(search, "run_with_retries", lambda *_, **__: Status(state=DONE))
    space = {o.get_key_element(): o for o in parse_overrides(SPACE)}
    trial = search.Trial(sweep, study_config, space, 3, "fail")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"goes by val/dice, and no checkpoint is chosen"):
        trial(cfg)
    assert "Traceback" not in capfd.readouterr().err


def test_other_values_on_a_resume_are_one_line(study_config: StudyConfig) -> None:
    """Optuna's traceback told that its value space is not dynamic."""
    study = study_config.open(reporting=True)
    first = parse_overrides(["loss=dice_ce,cross_entropy"])
    suggest(study.ask(), {o.get_key_element(): o for o in first})
    for words in ("loss=dice_ce,cross_entropy,tversky", "loss=interval(1,2)"):
        other = {o.get_key_element(): o for o in parse_overrides([words])}
        with pytest.raises(ConfigError, match=r"has tried other values of loss.*sweep\.name="):
            suggest(study.ask(), other)
