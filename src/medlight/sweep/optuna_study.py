"""Where a search is kept: an Optuna study in an SQL database, which outlives its processes."""

import hashlib
import os
import re
import warnings
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from medlight.core.errors import MALFORMED, DataError
from medlight.sweep.credentials import PASSWORD_VARIABLE, with_password
from medlight.sweep.process import StopFn

HEARTBEAT_S, GRACE_S = 5, 20
"""How often a trial says that it lives, and after what silence it counts as dead."""
MAX_RETRIES = 5
"""How often a trial that fell silent is taken up again."""
SQLITE_TIMEOUT_S = 60
"""For another process to finish writing, in sqlite."""
OPTUNA_TABLES = {"studies", "version_info", "alembic_version"}
"""Of which a database holds one at least, if it is one of Optuna's."""
JOB, ERROR, RETRY_OF = "job", "error", "retry_of"
"""What a trial notes: its job's key; why it failed; which failed trial it repeats."""


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """All that a process must know to take part in a search.

    Attributes:
        url, name: of the database, without its password, and of the study in it.
        mode: "max" or "min".
        epochs: of a trial that is not stopped.
        n_startup_trials: trials at random before the sampler learns; `seed`: of the sampler.
        pruning: (least epochs, one of how many goes on) of Hyperband; None: no pruning.
    """

    url: str
    name: str
    mode: str
    epochs: int
    n_startup_trials: int
    seed: int
    pruning: tuple[int, int] | None

    def open(self, *, reporting: bool = False, password: str | None = None) -> optuna.Study:
        """The study, made where there is none.

        Args:
            reporting: trials that run elsewhere, which have their heartbeat there. Only then does
                the study have a pruner: with Hyperband at hand, Optuna's sampler would learn from
                the trials of one bracket alone, a third of them or fewer.
            password: of the database; None: the one in the environment.

        Raises:
            DataError: the database cannot be reached, is of something else, or is damaged.
        """
        try:
            return self._open(reporting=reporting, password=password)
        except (SQLAlchemyError, OptunaError, RuntimeError, ImportError, *MALFORMED) as error:
            why = str(getattr(error, "orig", None) or error) or type(error).__name__
            raise DataError(
                f"{self.url.removeprefix('sqlite:///')}: cannot be used as the study of a search "
                f"({why.splitlines()[0]}); take it from a copy, or give sweep.name=<a new one>"
            ) from error

    def _open(self, *, reporting: bool, password: str | None) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # we say ourselves why a trial failed
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        sqlite = self.url.startswith("sqlite")
        url = with_password(self.url, password or os.environ.get(PASSWORD_VARIABLE))
        if sqlite and (tables := _tables(url)) and not tables & OPTUNA_TABLES:
            raise ValueError(f"it holds {', '.join(sorted(tables))}")
        storage = RDBStorage(
            url,
            engine_kwargs={"connect_args": {"timeout": SQLITE_TIMEOUT_S}} if sqlite else {},
            heartbeat_interval=None if reporting else HEARTBEAT_S,
            grace_period=None if reporting else GRACE_S,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(
                max_retry=MAX_RETRIES, inherit_intermediate_values=True
            ),
        )
        direction: Literal["maximize", "minimize"] = (
            "maximize" if self.mode == "max" else "minimize"
        )
        study = optuna.create_study(
            storage=storage,
            study_name=self.name,
            direction=direction,
            load_if_exists=True,
            sampler=self.sampler(0),
            pruner=self._pruner() if reporting else optuna.pruners.NopPruner(),
        )
        if study.direction.name.lower() != direction:
            raise ValueError(f"it is one to {study.direction.name.lower()}, not to {direction}")
        for trial in () if reporting else study.get_trials(deepcopy=False):
            key = trial.user_attrs.get(JOB, None if has_ended(trial) else "not begun")
            if not isinstance(key, str) or not re.fullmatch(r"\w[\w. -]*", key):
                raise ValueError(f"its trial {trial.number} is of the job {key!r}")
        return study

    def sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Of the trial with this number: no resume repeats what was drawn before it."""
        digest = hashlib.sha256(f"{self.seed} {number}".encode()).digest()
        seed = int.from_bytes(digest[:4])
        return optuna.samplers.TPESampler(
            n_startup_trials=self.n_startup_trials, constant_liar=True, seed=seed
        )

    def _pruner(self) -> optuna.pruners.BasePruner:
        if self.pruning is None:
            return optuna.pruners.NopPruner()
        least, reduction_factor = self.pruning
        most = max(self.epochs, least)
        return optuna.pruners.HyperbandPruner(least, most, reduction_factor)


def _tables(url: str) -> set[str]:
    engine = create_engine(url, poolclass=NullPool)
    return set(inspect(engine).get_table_names())


@dataclass(frozen=True, slots=True)
class PruningReporter:
    """Made in the job's process: reports its score to the study and asks whether to go on."""

    study_config: StudyConfig
    trial_id: int
    password: str | None = field(
        default_factory=lambda: os.environ.get(PASSWORD_VARIABLE), repr=False
    )  # the process was forked before there was one

    def __call__(self) -> StopFn:
        trial = optuna.trial.Trial(
            self.study_config.open(reporting=True, password=self.password), self.trial_id
        )

        def stop(epoch: int, score: float) -> bool:
            trial.report(score, epoch)
            return trial.should_prune()

        return stop


def count_finished(study: optuna.Study) -> int:
    """How many trials have their answer; a failed one that is tried again has none yet."""
    trials = study.get_trials(deepcopy=False)
    repeated = {trial.user_attrs.get(RETRY_OF) for trial in trials}
    return sum(
        has_ended(trial) and not (has_failed(trial) and trial.number in repeated)
        for trial in trials
    )


def has_ended(trial: FrozenTrial) -> bool:
    """Whether it has its answer: its job ended, was pruned, or failed."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or has_failed(trial)


def has_failed(trial: FrozenTrial) -> bool:
    """Whether its job failed; a trial whose processes were killed did not."""
    return trial.state is TrialState.FAIL and ERROR in trial.user_attrs


def count_running(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def requeue_stale(study: optuna.Study) -> None:
    """Queue again the trials that have been silent for too long."""
    optuna.storages.fail_stale_trials(study)


def retry_trial(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a trial with the same parameters, whose job then goes on where it was."""
    attributes: dict[str, Any] = {RETRY_OF: trial.number, JOB: trial.user_attrs[JOB]}
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            intermediate_values=trial.intermediate_values,
            user_attrs=attributes,
        )
    )
