"""Searching instead of trying everything: Optuna's sampler and pruner, on jobs of ours."""

import importlib.util
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from medlight.cli.rerun import parse_overrides
from medlight.core.errors import ConfigError, MissingExtraError
from medlight.sweep.job import DONE, PRUNED, Job
from medlight.sweep.names import label
from medlight.sweep.secret import put_aside
from medlight.sweep.space import suggest
from medlight.sweep.sweep import Sweep
from medlight.sweep.task import OnOom, carry_on, check_on_oom
from medlight.sweep.watch import Watch, say

if TYPE_CHECKING:
    import optuna

    from medlight.sweep.study import Place

POLL_S = 1.0


class Search:
    """A tree-structured Parzen estimator chooses, Hyperband stops early what lags behind.

    Bergstra et al. 2011 (NeurIPS 24); Li et al. 2018 (JMLR 18:185); as Optuna has them.

    Args:
        name: folder of the sweep below outputs/sweeps; None: the experiment's name and "optuna".
        params: key to space: a list `a,b`, `range(2,8,2)`, `interval(0.0,0.5)`, or
            `tag(log,interval(1e-4,1e-1))`; the command line wins.
        n_trials: how many there will be in all, over repeated sweeps.
        storage: address of an SQL database; None: study.db in the sweep's folder.
        seed: of the sampler; the same history leads to the same next trial.
        startup: trials at random before the sampler learns.
        prune: stop trials early.
        min_epochs: no trial stops earlier; None: a sixth of all epochs. Before that, warm-up
            decides which is ahead.
        reduction: one of how many trials goes on at each rung of Hyperband.
        failures: how often a trial may fail, over repeated sweeps.
        on_oom: "fail", or "halve" the batch and double the accumulation where memory runs out.
        compare: at the end, compare the best runs on the test cases.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        params: Mapping[str, str] | None = None,
        n_trials: int = 30,
        storage: str | None = None,
        seed: int = 0,
        startup: int = 10,
        prune: bool = True,
        min_epochs: int | None = None,
        reduction: int = 4,
        failures: int = 3,
        on_oom: str = "fail",
        compare: bool = True,
    ) -> None:
        if importlib.util.find_spec("optuna") is None:
            raise MissingExtraError("sweep=optuna needs: pip install 'medlight[optuna]'")
        self.name, self.params = name, dict(params or {})
        self.n_trials, self.storage, self.seed, self.startup = n_trials, storage, seed, startup
        self.prune, self.min_epochs, self.reduction = prune, min_epochs, reduction
        self.failures, self.on_oom = failures, check_on_oom(on_oom)
        self.compare = compare

    def varied(self, typed: Sequence[Override]) -> dict[str, Override]:
        """Key to space; what is typed beats what the preset says."""
        said = {o.get_key_element() for o in typed}
        preset = parse_overrides([f"{key}={value}" for key, value in self.params.items()])
        kept = [o for o in preset if o.get_key_element() not in said]
        return {o.get_key_element(): o for o in [*kept, *typed] if o.is_sweep_override()}

    def run(self, sweep: Sweep, typed: Sequence[Override]) -> list[Job]:
        """Go on to the last trial; the jobs of all."""
        from medlight.sweep import study as room

        space = self.varied(typed)
        if not space:
            raise ConfigError("nothing to search: give lists, ranges or intervals")
        sweep.folder.mkdir(parents=True, exist_ok=True)
        place = self.place(sweep)
        study = place.open()
        again = self._repeat_failed(sweep, study)
        done = room.ended(study)
        to_go = max(0, self.n_trials - done)
        say(f"{self.n_trials} trials in {sweep.folder}: {done} done, {to_go} to go")
        for job in again:
            say(f"  {label(job.read().overrides)}: failed: tried again")

        def jobs() -> list[Job]:
            keys = [each.user_attrs.get(room.JOB) for each in study.get_trials(deepcopy=False)]
            return [Job(sweep.folder / key) for key in dict.fromkeys(keys) if key]

        with Watch(jobs, metric=sweep.cfg.metric, total=self.n_trials):
            trial = Trial(sweep, place, space, self.n_trials, self.on_oom)
            while (left := self.n_trials - room.ended(study)) > 0:
                sweep.launch([["hydra.sweep.subdir=."]] * left, trial)
                if room.running(study):
                    time.sleep(POLL_S)  # until others end, or have been silent for too long
        found = jobs()
        sweep.record({job.key: job.read().overrides for job in found})
        return found

    def place(self, sweep: Sweep) -> "Place":
        """A study for each configuration, data and code: their trials do not mix."""
        from medlight.sweep.study import Place

        epochs = int(sweep.cfg.trainer.max_epochs)
        least = max(1, epochs // 6) if self.min_epochs is None else self.min_epochs
        return Place(
            url=put_aside(self.storage or f"sqlite:///{sweep.folder}/study.db"),
            name=f"{sweep.folder.name}-{sweep.job([]).key}",
            mode=sweep.cfg.mode,
            epochs=epochs,
            startup=self.startup,
            seed=self.seed,
            pruning=(least, self.reduction) if self.prune else None,
        )

    def _repeat_failed(self, sweep: Sweep, study: "optuna.Study") -> list[Job]:
        from medlight.sweep import study as room

        again = []
        trials = study.get_trials(deepcopy=False)
        repeated = {each.user_attrs.get(room.AGAIN) for each in trials}
        for each in trials:
            if room.failed(each) and each.number not in repeated:
                job = Job(sweep.folder / each.user_attrs[room.JOB])
                if job.read().failures < self.failures:
                    room.repeat(study, each)
                    again.append(job)
        return again


class TrialFailed(Exception):  # noqa: N818
    """What Optuna is told of a job that failed."""


@dataclass(frozen=True)
class Trial:
    """What a launcher is given instead of a job: ask the study, and run the job it suggests."""

    sweep: Sweep
    place: "Place"
    space: dict[str, Override]
    n_trials: int
    on_oom: OnOom

    def __call__(self, cfg: DictConfig) -> None:
        from medlight.sweep import study as room

        study = self.place.open()
        room.bury(study)
        if room.ended(study) + room.running(study) < self.n_trials:
            study.optimize(self._objective, n_trials=1, catch=(TrialFailed,))

    def _objective(self, trial: Any) -> float:
        import optuna

        from medlight.sweep import study as room

        trial.study.sampler = self.place.sampler(trial.number)
        overrides = suggest(trial, self.space)
        cfg = self.sweep.compose(overrides)
        job = self.sweep.job(overrides, cfg)
        job.describe(overrides)
        trial.set_user_attr(room.JOB, job.key)
        judge = room.Judge(self.place, trial._trial_id) if self.place.pruning else None
        try:
            status = carry_on(job, cfg, on_oom=self.on_oom, stop=judge)
        except BaseException:
            room.repeat(trial.study, trial.study.trials[trial.number])
            raise
        if status.state == PRUNED:
            raise optuna.TrialPruned
        if status.state != DONE or status.score is None:
            error = status.error or f"no {self.sweep.cfg.metric} to go by"
            trial.set_user_attr(room.ERROR, error)
            raise TrialFailed(error)
        return status.score
