"""Run again: identical, within the noise of seeds, or not; and the noise itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.stats import t

from medlight.core.errors import ConfigError
from medlight.jobs.reproduce import (
    MetricDifference,
    compare_metrics,
    environment_changes,
    overall_verdict,
)
from medlight.jobs.seed_variability import seed_variability

RUN = [
    "experiment=seg_unet2d",
    "data.n_cases=30",
    "data.batch_size=4",
    "data.epoch_samples=8",
    "model.channels=[4,8]",
    "model.strides=[2]",
    "trainer.max_epochs=1",
    "hydra.run.dir=runs/first",
]


@pytest.mark.slow
def test_a_run_that_comes_out_otherwise_is_told(
    tmp_path: Path, shared_cache: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes out the same: see tests/cli/test_kinds.py."""
    first = tmp_path / "runs" / "first"
    monkeypatch.setenv("MEDLIGHT_CACHE", str(shared_cache))
    done = run_cli(*RUN)
    assert done.code == 0, done.err
    metrics = json.loads((first / "metrics.json").read_text())
    (first / "metrics.json").write_text(json.dumps({**metrics, "test/dice": 0.999}))
    other = run_cli("reproduce", "run=runs/first", "hydra.run.dir=runs/again")
    assert other.code == 1
    assert "not reproduced: test/dice is" in other.err
    assert "then 0.999" in other.err
    verdict = json.loads((tmp_path / "runs/again/reproduction.json").read_text())["verdict"]
    assert verdict == "differs"
    saved = yaml.safe_load((tmp_path / "runs/again/config.yaml").read_text())
    original = yaml.safe_load((first / "config.yaml").read_text())
    assert (saved["job"], saved["run"]) == (original["job"], None)
    assert saved["job"]["_target_"] == "medlight.jobs.fit.fit"


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """Five finished runs of one recipe, one of another, one unfinished."""
    for seed, dice in enumerate((0.80, 0.82, 0.81, 0.79, 0.83)):
        write(tmp_path / str(seed), {"seed": seed, "name": "x", "lr": 1}, {"test/dice": dice})
    write(tmp_path / "other", {"seed": 9, "name": "x", "lr": 2}, {"test/dice": 0.1})
    write(tmp_path / "unfinished", {"seed": 8, "name": "x", "lr": 1}, None)
    return tmp_path


def write(run: Path, config: dict[str, object], metrics: dict[str, float] | None) -> None:
    run.mkdir()
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    if metrics is not None:
        (run / "metrics.json").write_text(json.dumps(metrics))


def test_noise_is_what_two_seeds_differ_by(seeds: Path) -> None:
    noise = seed_variability(seeds / "0")
    assert noise.seeds == (0, 1, 2, 3, 4)
    spread = np.std([0.80, 0.82, 0.81, 0.79, 0.83], ddof=1)
    assert noise.tolerance["test/dice"] == pytest.approx(t.ppf(0.975, 4) * spread * np.sqrt(2))


def test_the_bound_holds_for_nineteen_pairs_in_twenty() -> None:
    """With three seeds, which is few: Student's quantile is what makes it true."""
    random = np.random.default_rng(0)
    known, pair = random.normal(size=(20_000, 3)), random.normal(size=(20_000, 2))
    bound = t.ppf(0.975, 2) * np.std(known, axis=1, ddof=1) * np.sqrt(2)
    assert np.mean(np.abs(np.diff(pair)[:, 0]) <= bound) == pytest.approx(0.95, abs=0.005)


def test_two_seeds_tell_nothing(seeds: Path) -> None:
    noise = seed_variability(seeds / "0", [seeds / "1"])
    assert (noise.seeds, noise.tolerance) == ((0, 1), {})
    assert "not known" in noise.summary


def test_other_arithmetic_is_no_repeat(tmp_path: Path) -> None:
    """With and without EMA, or on another fold, is another experiment; a progress bar is not."""
    base: dict[str, object] = {"name": "x", "data": {"root": "here", "fold": 0}}
    ema = {"ema": {"_target_": "medlight.callbacks.ema.EMA", "decay": 0.99}}
    others: dict[str, dict[str, object]] = {
        "plain": {"callbacks": {}},
        "bar": {"callbacks": {"progress": {"_target_": "my.Bar"}, "panels": {"max_cases": 3}}},
        "moved": {"data": {"root": "there", "num_workers": 4, "fold": 0}, "logger": {"csv": {}}},
        "ema": {"callbacks": ema},
        "stopped": {"callbacks": {"early_stopping": {"patience": 3}}},
        "rescaled": {"callbacks": {"rescale_schedule": {"_target_": "my.Rescale"}}},
        "fold": {"data": {"root": "here", "fold": 1}},
        "calibrated": {"job": {"calibrate": True}},
    }
    for seed, (name, config) in enumerate(others.items()):
        write(tmp_path / name, {**base, "seed": seed, **config}, {"test/dice": 0.8 + seed / 100})
    assert seed_variability(tmp_path / "plain").seeds == (0, 1, 2)
    assert seed_variability(tmp_path / "ema").seeds == (3,)


def test_verdicts(seeds: Path) -> None:
    noise = seed_variability(seeds / "0")
    for now, verdict in ((0.80, "identical"), (0.84, "within seed noise"), (0.95, "differs")):
        found = compare_metrics({"test/dice": 0.80}, {"test/dice": now}, noise)
        assert overall_verdict(found, same_cases=now == 0.80) == verdict
    assert MetricDifference("test/new", None, 0.5, 0.1).verdict == "differs"
    assert overall_verdict([], same_cases=False) == "within seed noise"


def test_other_versions_are_said() -> None:
    then = {"code": {"torch": "2.6", "dirty": True}, "hardware": {"threads": 1}}
    now = {"code": {"torch": "2.7", "dirty": True}, "hardware": {"threads": 2}}
    assert environment_changes(then, now) == [
        "torch: 2.7, then 2.6",
        "threads: 2, then 1",
        "the code of the run had changes that no commit holds",
    ]


def test_other_data_are_refused(tmp_path: Path, shared_cache: Path) -> None:
    from medlight.datasets.phantom import PhantomMasksDataModule
    from medlight.jobs.reproduce import check_same_data

    data = PhantomMasksDataModule(cache=shared_cache, n_cases=30)
    same = {"data": {"fingerprint": data.cases.fingerprint()}, "split": {"hash": data.split.hash}}
    assert check_same_data(same, data) == []
    other = {**same, "data": {"fingerprint": "0" * 64}}
    with pytest.raises(ConfigError, match="force=true"):
        check_same_data(other, data)
    assert len(check_same_data(other, data, force=True)) == 1
