"""Searching instead of trying everything: Optuna's sampler and pruner, on jobs of ours."""

import importlib.util
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig

from medlight.core.errors import ConfigError, MissingExtraError
from medlight.sweep.credentials import hide_password
from medlight.sweep.job import DONE, PRUNED, Job
from medlight.sweep.job_names import job_label
from medlight.sweep.progress import SweepProgress, print_line
from medlight.sweep.sweep import Sweep, varying_overrides
from medlight.sweep.task import OnOom, check_on_oom, run_with_retries

if TYPE_CHECKING:
    import optuna

    from medlight.sweep.optuna_study import StudyConfig

POLL_S = 1.0


@dataclass(kw_only=True)
class OptunaSweep:
    """A tree-structured Parzen estimator chooses, Hyperband stops early what lags behind.

    Bergstra et al. 2011 (NeurIPS 24); Li et al. 2018 (JMLR 18:185); as Optuna has them.

    Args:
        name: folder of the sweep below outputs/sweeps; None: the experiment's name and "optuna".
        params: key to space: a list `a,b`, `range(2,8,2)`, `interval(0.0,0.5)`, or
            `tag(log,interval(1e-4,1e-1))`; the command line wins.
        n_trials: how many there will be in all, over repeated sweeps.
        storage: address of an SQL database; None: study.db in the sweep's folder.
        seed: of the sampler; the same history leads to the same next trial.
        n_startup_trials: trials at random before the sampler learns.
        prune: stop trials early.
        min_epochs: no trial stops earlier; None: a sixth of all epochs. Before that, warm-up
            decides which is ahead.
        reduction_factor: one of how many trials continues at each rung of Hyperband.
        max_failures: how often a trial may fail, over repeated sweeps.
        on_oom: "fail", or "halve" the batch and double the accumulation where memory runs out.
        compare: at the end, compare the best runs on the test cases.
    """

    name: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    n_trials: int = 30
    storage: str | None = None
    seed: int = 0
    n_startup_trials: int = 10
    prune: bool = True
    min_epochs: int | None = None
    reduction_factor: int = 4
    max_failures: int = 3
    on_oom: OnOom = "fail"
    compare: bool = True

    def __post_init__(self) -> None:
        check_on_oom(self.on_oom)
        if importlib.util.find_spec("optuna") is None:
            raise MissingExtraError("sweep=optuna needs: pip install 'medlight[optuna]'")

    def sweep_params(self, overrides: Sequence[Override]) -> dict[str, Override]:
        """Give key to space; what is typed beats what the preset says."""
        varying = varying_overrides(self.params, overrides)
        return {o.get_key_element(): o for o in varying if o.is_sweep_override()}

    def run(self, sweep: Sweep, overrides: Sequence[Override]) -> list[Job]:
        """Run all trials that are left, and return the jobs of all.

        Raises:
            ConfigError: nothing is varied, or nothing is validated.
        """
        from medlight.sweep import optuna_study

        space = self.sweep_params(overrides)
        if not space:
            raise ConfigError("nothing to search: give lists, ranges or intervals")
        check_validates(sweep.cfg)
        sweep.folder.mkdir(parents=True, exist_ok=True)
        study_config = self.study_config(sweep)
        study = study_config.open()
        retried = self._retry_failed(sweep, study)
        done = optuna_study.count_finished(study)
        to_go = max(0, self.n_trials - done)
        print_line(f"{self.n_trials} trials in {sweep.folder}: {done} done, {to_go} to go")
        for job in retried:
            print_line(f"  {job_label(job.read().overrides)}: failed: retrying")

        def jobs() -> list[Job]:
            keys = [
                each.user_attrs.get(optuna_study.JOB) for each in study.get_trials(deepcopy=False)
            ]
            return [Job(sweep.folder / key) for key in dict.fromkeys(keys) if key]

        with SweepProgress(jobs, metric=sweep.cfg.metric, total=self.n_trials):
            trial = Trial(sweep, study_config, space, self.n_trials, self.on_oom)
            while (left := self.n_trials - optuna_study.count_finished(study)) > 0:
                sweep.launch([["hydra.sweep.subdir=."]] * left, trial)
                if optuna_study.count_running(study):
                    time.sleep(POLL_S)  # until others end, or have been silent for too long
        found = jobs()
        sweep.save_jobs({job.key: job.read().overrides for job in found})
        return found

    def study_config(self, sweep: Sweep) -> "StudyConfig":
        """A study for each configuration, data and code: their trials do not mix."""
        from medlight.sweep.optuna_study import StudyConfig

        epochs = int(sweep.cfg.trainer.max_epochs or -1)
        least = max(1, epochs // 6) if self.min_epochs is None else self.min_epochs
        return StudyConfig(
            url=hide_password(self.storage or f"sqlite:///{sweep.folder}/study.db"),
            name=f"{sweep.folder.name}-{sweep.job([]).key}",
            mode=sweep.cfg.mode,
            epochs=epochs,
            n_startup_trials=self.n_startup_trials,
            seed=self.seed,
            pruning=(least, self.reduction_factor) if self.prune else None,
        )

    def _retry_failed(self, sweep: Sweep, study: "optuna.Study") -> list[Job]:
        from medlight.sweep import optuna_study

        retried = []
        trials = study.get_trials(deepcopy=False)
        repeated = {each.user_attrs.get(optuna_study.RETRY_OF) for each in trials}
        for each in trials:
            if optuna_study.has_failed(each) and each.number not in repeated:
                job = Job(sweep.folder / each.user_attrs[optuna_study.JOB])
                if job.read().failures < self.max_failures:
                    optuna_study.retry_trial(study, each)
                    retried.append(job)
        return retried


class TrialFailed(Exception):  # noqa: N818
    """What Optuna is told of a job that failed."""


@dataclass(frozen=True)
class Trial:
    """What a launcher is given instead of a job: ask the study, and run the job it suggests."""

    sweep: Sweep
    study_config: "StudyConfig"
    space: dict[str, Override]
    n_trials: int
    on_oom: OnOom

    def __call__(self, cfg: DictConfig) -> None:
        from medlight.sweep import optuna_study

        study = self.study_config.open()
        optuna_study.requeue_stale(study)
        if optuna_study.count_finished(study) + optuna_study.count_running(study) < self.n_trials:
            study.optimize(self._objective, n_trials=1, catch=(TrialFailed,))

    def _objective(self, trial: Any) -> float:
        import optuna

        from medlight.compat.optuna import trial_id
        from medlight.sweep import optuna_study

        trial.study.sampler = self.study_config.sampler(trial.number)
        overrides = suggest(trial, self.space)
        cfg = self.sweep.compose(overrides)
        job = self.sweep.job(overrides, cfg)
        job.set_overrides(overrides)
        trial.set_user_attr(optuna_study.JOB, job.key)
        reporter = (
            optuna_study.PruningReporter(self.study_config, trial_id(trial))
            if self.study_config.pruning
            else None
        )
        try:
            status = run_with_retries(job, cfg, on_oom=self.on_oom, stop=reporter)
        except BaseException:
            optuna_study.retry_trial(trial.study, trial.study.trials[trial.number])
            raise
        if status.state == PRUNED:
            raise optuna.TrialPruned
        if status.state != DONE:
            error = status.error or status.state
            trial.set_user_attr(optuna_study.ERROR, error)
            raise TrialFailed(error)
        if status.score is None:
            raise _nothing_to_go_by(self.sweep.cfg)
        return status.score


def check_validates(cfg: DictConfig) -> None:
    """Raise ConfigError for a trainer that never validates: a search has nothing to go by."""
    trainer = cfg.trainer
    every, epochs = trainer.get("check_val_every_n_epoch"), trainer.max_epochs
    never = every and epochs and 0 < epochs < every
    if never or trainer.get("limit_val_batches") == 0 or "checkpoint" not in (cfg.callbacks or {}):
        raise _nothing_to_go_by(cfg)


def _nothing_to_go_by(cfg: DictConfig) -> ConfigError:
    return ConfigError(
        f"a search goes by {cfg.metric}, and no checkpoint is chosen by it: validate in some epoch "
        "(trainer.check_val_every_n_epoch, trainer.limit_val_batches, data.fold), and keep "
        "callbacks.checkpoint"
    )


DIGITS = 4
"""Of a number from an interval: nobody needs a learning rate of 0.0031622776601683795."""


def suggest(trial: Any, space: Mapping[str, Override]) -> list[str]:
    """Ask an Optuna trial for a value of each key; overrides."""
    words = []
    for key, override in space.items():
        try:
            words.append(f"{key}={_value(trial, key, override)}")
        except ValueError as error:  # of Optuna
            raise ConfigError(
                f"{override.input_line}: this search has tried other values of {key} ({error}); "
                "give sweep.name=<a new one>, or the values it began with"
            ) from error
    return words


def _value(trial: Any, key: str, override: Override) -> Any:
    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(key, low, high, log=log)
        return f"{trial.suggest_float(key, low, high, log=log):.{DIGITS}g}"
    if isinstance(value, RangeSweep):
        numbers = value.range()
        if isinstance(numbers, range) and numbers:
            return trial.suggest_int(key, numbers[0], numbers[-1], step=numbers.step)
    return trial.suggest_categorical(key, [str(each) for each in override.sweep_string_iterator()])
