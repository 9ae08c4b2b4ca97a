"""Where a search is kept: an Optuna study in an SQL database, which outlives its processes."""

import hashlib
import os
import warnings
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from medlight.sweep.process import Stop
from medlight.sweep.secret import PASSWORD, whole

BEAT_S, GRACE_S = 5, 20
"""How often a trial says that it lives, and after what silence it counts as dead."""
RETRIES = 5
"""How often a trial that fell silent is taken up again."""
WAIT_S = 60
"""For another process to finish writing, in sqlite."""
JOB, ERROR, AGAIN = "job", "error", "again"
"""What a trial notes: its job's key; why it failed; which failed trial it repeats."""


@dataclass(frozen=True, slots=True)
class Place:
    """All that a process must know to take part in a search.

    Attributes:
        url, name: of the database, without its password, and of the study in it.
        mode: "max" or "min".
        epochs: of a trial that is not stopped.
        startup: trials at random before the sampler learns; `seed`: of the sampler.
        pruning: (least epochs, one of how many goes on) of Hyperband; None: no pruning.
    """

    url: str
    name: str
    mode: str
    epochs: int
    startup: int
    seed: int
    pruning: tuple[int, int] | None

    def open(self, *, judging: bool = False, password: str | None = None) -> optuna.Study:
        """The study, made where there is none.

        Args:
            judging: trials that run elsewhere, which have their heartbeat there. Only then does the
                study have a pruner: with Hyperband at hand, Optuna's sampler would learn from the
                trials of one bracket alone, a third of them or fewer.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        sqlite = self.url.startswith("sqlite")
        storage = RDBStorage(
            whole(self.url, password or os.environ.get(PASSWORD)),
            engine_kwargs={"connect_args": {"timeout": WAIT_S}} if sqlite else {},
            heartbeat_interval=None if judging else BEAT_S,
            grace_period=None if judging else GRACE_S,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(
                max_retry=RETRIES, inherit_intermediate_values=True
            ),
        )
        return optuna.create_study(
            storage=storage,
            study_name=self.name,
            direction="maximize" if self.mode == "max" else "minimize",
            load_if_exists=True,
            sampler=self.sampler(0),
            pruner=self._pruner() if judging else optuna.pruners.NopPruner(),
        )

    def sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Of the trial with this number: no resume repeats what was drawn before it."""
        digest = hashlib.sha256(f"{self.seed} {number}".encode()).digest()
        seed = int.from_bytes(digest[:4])
        return optuna.samplers.TPESampler(
            n_startup_trials=self.startup, constant_liar=True, seed=seed
        )

    def _pruner(self) -> optuna.pruners.BasePruner:
        if self.pruning is None:
            return optuna.pruners.NopPruner()
        least, reduction = self.pruning
        most = max(self.epochs, least)
        return optuna.pruners.HyperbandPruner(least, most, reduction)


@dataclass(frozen=True, slots=True)
class Judge:
    """Made in the job's process: reports its score to the study and asks whether to go on."""

    place: Place
    trial_id: int
    password: str | None = field(
        default_factory=lambda: os.environ.get(PASSWORD), repr=False
    )  # the process was forked before there was one

    def __call__(self) -> Stop:
        trial = optuna.trial.Trial(
            self.place.open(judging=True, password=self.password), self.trial_id
        )

        def stop(epoch: int, score: float) -> bool:
            trial.report(score, epoch)
            return trial.should_prune()

        return stop


def ended(study: optuna.Study) -> int:
    """How many trials have their answer; a failed one that is tried again has none yet."""
    trials = study.get_trials(deepcopy=False)
    repeated = {trial.user_attrs.get(AGAIN) for trial in trials}
    return sum(
        trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (failed(trial) and trial.number not in repeated)
        for trial in trials
    )


def failed(trial: FrozenTrial) -> bool:
    """Whether its job failed; a trial whose processes were killed did not."""
    return trial.state is TrialState.FAIL and ERROR in trial.user_attrs


def running(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def bury(study: optuna.Study) -> None:
    """Queue again the trials that have been silent for too long."""
    optuna.storages.fail_stale_trials(study)


def repeat(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a trial with the same parameters, whose job then goes on where it was."""
    attributes: dict[str, Any] = {AGAIN: trial.number, JOB: trial.user_attrs[JOB]}
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            intermediate_values=trial.intermediate_values,
            user_attrs=attributes,
        )
    )
