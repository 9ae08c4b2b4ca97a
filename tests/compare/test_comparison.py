"""Whole comparisons of drawn runs, and of the runs on record."""

import gzip
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medlight.compare.case_scores import ALL_CLASSES
from medlight.compare.comparison import Comparison, compare
from medlight.compare.cost import pareto
from medlight.compare.groups import group_runs
from medlight.compare.runs import read_run, read_runs
from medlight.compare.stability import ranks, variance_components
from medlight.core.errors import DataError, DataNotFoundError, MedlightError
from medlight.metrics.names import METRICS

ROOT = Path(__file__).parents[2]
NewRun = Callable[..., Path]


def drawn(seed: int, n: int = 30, k: int = 1, mean: float = 0.8) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean, 0.05, (n, k)), 0, 1)


def compared(*places: Path, **options: object) -> Comparison:
    runs, skipped = read_runs(places)
    return compare(group_runs(runs), skipped=skipped, n_resamples=500, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("recipe", sorted(p.name for p in (ROOT / "experiments").glob("*_*")))
def test_means_of_recorded_runs_are_those_of_their_metrics(recipe: str) -> None:
    for path in sorted((ROOT / "experiments" / recipe).glob("20*")):
        found = compared(path)
        recorded = json.loads((path / "metrics.json").read_text())
        for (metric, name), score in found.scores[found.reference.name].items():
            known = f"test/{metric}/{name}" if name else f"test/{metric}"
            if METRICS[metric].better == "zero":  # its size here, its bias there
                assert score.mean >= abs(recorded[known])
            elif recorded.get(known) is not None:
                assert score.mean == pytest.approx(recorded[known], abs=1e-6), known
        assert found.metric in {key.split("/")[1] for key in recorded}


def test_what_is_better_is_told(new_run: NewRun, tmp_path: Path) -> None:
    base = drawn(0, k=2)
    better = base + np.array([0.02, 0.0]) + np.random.default_rng(1).normal(0, 0.01, base.shape)
    new_run(tmp_path / "a", dice=base, classes=("liver", "spleen"), config={"lr": 1})
    new_run(tmp_path / "b", dice=better, classes=("liver", "spleen"), config={"lr": 2})
    found = compared(tmp_path)
    assert [group.name for group in found.groups] == ["lr=1", "lr=2"]
    assert found.config_differences == [("lr", ["1", "2"])]
    results = {result.key: result for result in found.results}
    liver, spleen = results["dice", "liver"], results["dice", "spleen"]
    assert liver.difference.low > 0
    assert liver.adjusted < 0.001
    assert liver.adjusted == pytest.approx(3 * liver.test.p)
    assert liver.test.effect > 0.8
    assert spleen.adjusted > 0.05
    assert spleen.wins + spleen.ties + spleen.losses == 30
    gap = np.mean((better - base).mean(axis=1))
    assert results["dice", ALL_CLASSES].difference.mean == pytest.approx(gap)
    assert [r.rank for r in found.ranks] == [2, 1]
    assert found.ranks[1].p_first > 0.95
    worst = found.changes["lr=2"][0]
    moves = np.abs((better - base).mean(axis=1))
    assert abs(worst.contender - worst.reference) == pytest.approx(moves.max())


def test_errors_with_a_sign_are_compared_by_size(new_run: NewRun, tmp_path: Path) -> None:
    for name, shift in (("a", -6.0), ("b", 1.0)):
        folder = new_run(tmp_path / name, dice=drawn(0), config={"lr": name})
        text = (folder / "cases.csv").read_text().splitlines()
        lines = [f"{line},{shift + i % 3}" for i, line in enumerate(text[1:])]
        (folder / "cases.csv").write_text("\n".join([text[0] + ",volume_ml_error", *lines]))
    found = compared(tmp_path, metrics=["volume_ml_error"])
    (result,) = found.results
    assert result.difference.mean < 0
    assert (result.wins, result.losses) == (30, 0)


def test_seeds_and_folds_are_repeats(new_run: NewRun, tmp_path: Path) -> None:
    for model in ("unet", "segresnet"):
        for fold in range(2):
            for seed in range(3):
                new_run(
                    tmp_path / f"{model}{fold}{seed}", dice=drawn(fold) - 0.01 * seed, seed=seed,
                    fold=str(fold), cases=[f"f{fold}_{i}" for i in range(30)],
                    config={"seed": seed, "data": {"fold": fold}, "model": model},
                )  # fmt: skip
    found = compared(tmp_path)
    assert [g.describe_repeats() for g in found.groups] == ["3 seeds × 2 folds"] * 2
    assert len(found.cases) == 60
    components = found.variance["model=segresnet"]
    assert components.seed == pytest.approx(0.01, abs=1e-6)
    assert components.residual == pytest.approx(0, abs=1e-6)
    assert found.results[0].test.p == 1.0


def test_the_variance_is_split_as_it_was_made(new_run: NewRun, tmp_path: Path) -> None:
    """Means of estimates over forty drawn designs of 4 seeds, 5 folds and 40 cases."""
    truth = {"seed": 0.02, "fold": 0.03, "case": 0.05, "residual": 0.015}
    random = np.random.default_rng(0)
    (group,) = group_runs([
        read_run(new_run(tmp_path / f"{f}{s}", dice=drawn(0, 40), seed=s, fold=str(f),
                         cases=[f"{f}_{i}" for i in range(40)],
                         config={"seed": s, "data": {"fold": f}}))
        for f in range(5) for s in range(4)
    ])  # fmt: skip
    found = []
    for _ in range(40):
        fold, case = random.normal(0, truth["fold"], 5), random.normal(0, truth["case"], (5, 40))
        values = {
            id(run): 0.8 + fold[int(run.fold)] + random.normal(0, truth["seed"])
            + case[int(run.fold)] + random.normal(0, truth["residual"], 40)
            for run in group.runs
        }  # fmt: skip
        found.append(variance_components(group, lambda run, v=values: v[id(run)]))
    for name, expected in truth.items():
        squares = np.mean([getattr(components, name) ** 2 for components in found])
        assert math.sqrt(squares) == pytest.approx(expected, rel=0.15), name


def test_same_settings_on_another_commit_are_rivals(new_run: NewRun, tmp_path: Path) -> None:
    for name in ("old", "new"):
        new_run(tmp_path / name, dice=drawn(0), provenance={"code": {"commit": name}})
    found = compared(tmp_path / "old", tmp_path / "new")
    assert [group.name for group in found.groups] == ["old", "new"]
    assert ("commit", ["old", "new"]) in found.config_differences


def test_classes_are_compared_by_area_and_accuracy(new_run: NewRun, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = ("hand", "chest", "head")
    truth = random.integers(0, 3, 120)
    for name, strength in (("weak", 0.5), ("strong", 2.5)):
        logits = random.normal(0, 1, (120, 3)) + strength * np.eye(3)[truth]
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        new_run(
            tmp_path / name, truth=[names[k] for k in truth], p=p, classes=names,
            config={"strength": strength},
        )  # fmt: skip
    found = compared(tmp_path / "weak", tmp_path / "strong")
    results = {result.key: result for result in found.results}
    assert results["auroc", "hand"].test.name == "DeLong"
    assert results["accuracy", ALL_CLASSES].test.name == "McNemar"
    assert results["brier", ALL_CLASSES].test.name == "Wilcoxon"
    for key in [("auroc", ALL_CLASSES), ("accuracy", ALL_CLASSES)]:
        assert results[key].difference.low > 0
        assert results[key].adjusted < 0.01
    assert results["brier", ALL_CLASSES].wins > results["brier", ALL_CLASSES].losses


def test_places_under_other_patients() -> None:
    same = np.repeat(drawn(0), 2, axis=1)
    assert [r.p_first for r in ranks(same, range(30), better="higher", n_resamples=200)] == [
        0.5,
        0.5,
    ]
    far = drawn(0) + np.array([0.0, 0.5, -0.2])
    assert [r.rank for r in ranks(far, range(30), better="higher", n_resamples=200)] == [2, 1, 3]
    assert [r.p_first for r in ranks(far, range(30), better="lower", n_resamples=200)] == [0, 0, 1]


def test_pareto_keeps_what_nothing_beats() -> None:
    assert pareto([0.9, 0.8, math.nan], [2, 1, 0.1], better="higher") == [True, True, False]
    assert pareto([0.9, 0.9], [1, 1], better="lower") == [True, True]


def test_half_written_and_foreign_runs_are_named(new_run: NewRun, tmp_path: Path) -> None:
    good = new_run(tmp_path / "sweep" / "good", dice=drawn(0))
    bad = {
        "broken line": lambda f: (f / "cases.csv").write_text(
            (f / "cases.csv").read_text()[:-9]
        ),
        "no cases.csv": lambda f: (f / "cases.csv").unlink(),
        "'running'": lambda f: (f / "provenance.json").write_text('{"status": "running"}'),
        "provenance.json: cannot": lambda f: (f / "provenance.json").write_text('{"status'),
        "no column patient": lambda f: (f / "cases.csv").write_text("case,stage,class\na,test,b\n"),
        "is not of numbers": lambda f: (f / "cases.csv").write_text(
            (f / "cases.csv").read_text().replace("0.8", "good", 1)
        ),
        "two lines": lambda f: (f / "cases.csv").write_text(
            (f / "cases.csv").read_text() + (f / "cases.csv").read_text().splitlines()[-1]
        ),
        "gz: cannot be read": lambda f: (
            (f / "cases.csv.gz").write_bytes(
                gzip.compress((f / "cases.csv").read_bytes())[:-30]
            ),
            (f / "cases.csv").unlink(),
        ),
    }  # fmt: skip
    for i, spoil in enumerate(bad.values()):
        folder = tmp_path / "sweep" / f"bad{i}"
        shutil.copytree(good, folder)
        spoil(folder)
        with pytest.raises(DataError, match=str(folder)):
            read_runs([folder])
    runs, skipped = read_runs([tmp_path / "sweep"])
    assert [run.path for run in runs] == [good]
    reasons = [each.reason for each in skipped]
    for said, reason in zip(list(bad)[1:], reasons[1:], strict=True):
        assert said in reason
    with pytest.raises(DataNotFoundError, match="does not exist"):
        read_runs([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataNotFoundError, match="is not a run directory: it holds no"):
        read_runs([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"dice": drawn(0, 20)}, "tested on 20 cases"),
        ({"classes": ("spleen",)}, "classes 'spleen' here, 'liver' there"),
        ({"provenance": {"policy": "other"}}, "metric policy 'other' here"),
        ({"patients": ["p"] * 30}, "patient of case"),
        ({"dice": None, "truth": ["liver"] * 30, "p": np.ones((30, 1))}, "task 'multiclass'"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    other: dict, reason: str, new_run: NewRun, tmp_path: Path
) -> None:
    new_run(tmp_path / "a", dice=drawn(0))
    new_run(tmp_path / "b", **{"dice": drawn(1), "config": {"lr": 1}, **other})
    with pytest.raises(MedlightError, match="cannot be compared") as told:
        compared(tmp_path / "a", tmp_path / "b")
    assert reason in str(told.value)


def test_other_labels_are_refused(new_run: NewRun, tmp_path: Path) -> None:
    new_run(tmp_path / "a", dice=drawn(0))
    folder = new_run(tmp_path / "b", dice=drawn(1), config={"lr": 1})
    text = (folder / "cases.csv").read_text()
    (folder / "cases.csv").write_text(text.replace(",107,", ",108,"))
    with pytest.raises(MedlightError, match="labels of case 'case_007'"):
        compared(tmp_path / "a", tmp_path / "b")


def test_answers_that_are_no_numbers_are_not_compared(tmp_path: Path, new_run: NewRun) -> None:
    """A diverged run was ranked like others, or ended the command with a KeyError."""
    p = np.full((10, 2), 0.5)
    p[3] = np.nan
    whole = new_run(tmp_path / "a", truth=["x", "y"] * 5, p=np.full((10, 2), 0.5), classes="xy")
    new_run(tmp_path / "b", truth=["x", "y"] * 5, p=p, classes="xy")
    with pytest.raises(DataError, match="case case_003 has a probability that is not finite"):
        read_run(tmp_path / "b")
    runs, skipped = read_runs([tmp_path])
    assert [run.path for run in runs] == [whole]
    assert "diverged" in skipped[0].reason
