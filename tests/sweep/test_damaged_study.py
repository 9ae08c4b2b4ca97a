"""A study that is damaged, of something else, or written by others is refused, and stays."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from medlight.core.errors import ConfigError, DataError
from medlight.sweep.credentials import hide_password
from medlight.sweep.optuna_study import JOB, StudyConfig

ATTRIBUTES = "update trial_user_attributes set value_json="


def study_config(folder: Path, mode: str = "max") -> StudyConfig:
    return StudyConfig(f"sqlite:///{folder}/study.db", "s", mode, 9, 3, 0, (1, 3))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    study = study_config(folder).open(reporting=True)
    for key in ("a1", "b2"):
        trial = study.ask()
        trial.suggest_float("optimizer.lr", 0, 1)
        trial.set_user_attr(JOB, key)
        study.tell(trial, 0.5)
    return (folder / "study.db").read_bytes()


def statement(file: Path, text: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(text)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.001])
def test_a_truncated_study(share: float, whole: bytes, tmp_path: Path) -> None:
    """A traceback of 60 lines told so."""
    check_refused(tmp_path, whole[: int(len(whole) * share)], "malformed|not a database")


def test_what_is_no_database(tmp_path: Path) -> None:
    check_refused(tmp_path, b"case,dice\n" * 99, "not a database")


def test_a_database_of_something_else(tmp_path: Path) -> None:
    """Optuna added its tables to it."""
    statement(tmp_path / "other.db", "create table patients (id int)")
    check_refused(tmp_path, (tmp_path / "other.db").read_bytes(), "it holds patients")


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "study.db").mkdir()
    with pytest.raises(DataError, match=r"study\.db: cannot be used as the study of a search"):
        study_config(tmp_path).open()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("update alembic_version set version_num='v9.9.9'", "no longer compatible"),
        ("delete from trial_user_attributes", "trial 0 is of the job None"),
        (f"{ATTRIBUTES}'{{bad'", "Expecting property name"),
        (f"{ATTRIBUTES}'\"../../other\"'", "trial 0 is of the job '../../other'"),
        (f"{ATTRIBUTES}'5'", "trial 0 is of the job 5"),
        ("update trials set state='X'", "'X' is not among"),
        ('update trial_params set distribution_json=\'{"name": "X"}\'', "Unknown distribution"),
        ("update study_directions set direction='MINIMIZE'", "to minimize, not to maximize"),
    ],
)
def test_a_changed_study(text: str, why: str, whole: bytes, tmp_path: Path) -> None:
    """A traceback, a job outside of the sweep, or a search for the worst."""
    (tmp_path / "study.db").write_bytes(whole)
    assert len(study_config(tmp_path).open().trials) == 2
    statement(tmp_path / "study.db", text)
    check_refused(tmp_path, (tmp_path / "study.db").read_bytes(), why)


def check_refused(folder: Path, content: bytes, why: str) -> None:
    (folder / "study.db").write_bytes(content)
    with pytest.raises(DataError, match=why) as refused:
        study_config(folder).open()
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(f"{folder}/study.db: cannot be used")
    assert "sweep.name=<a new one>" in str(refused.value)
    assert (folder / "study.db").read_bytes() == content


def test_what_is_no_address_of_a_database() -> None:
    with pytest.raises(ConfigError, match=r"sweep\.storage is no address"):
        hide_password("my study")
