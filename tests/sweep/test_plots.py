"""What matters is told apart from what does not; the pictures are there."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medlight.sweep.job import DONE, PRUNED, Job, Status
from medlight.sweep.plots import importance, plot_sweep
from medlight.sweep.ranking import RankedJob


def entries(folder: Path, draws: int, effect: float) -> list[RankedJob]:
    """Scores that depend on lr, and on `seed` not at all."""
    random = np.random.default_rng(0)
    made = []
    for number in range(draws):
        rate, seed = 10 ** random.uniform(-4, -1), number % 3
        score = 0.8 - effect * (np.log10(rate) + 2.5) ** 2 + random.normal(0, 0.01)
        words = [f"optimizer.lr={rate:.4g}", f"seed={seed}", f"model={'ab'[number % 2]}"]
        state = PRUNED if number % 4 == 3 else DONE
        status = Status(state=state, overrides=words, epoch=4 if state == PRUNED else 16)
        made.append(RankedJob(Job(folder / str(number)), status, score, 0.8, 0.7, 0.9))
    return made


def test_importance_finds_what_matters(tmp_path: Path) -> None:
    found = entries(tmp_path, 60, effect=0.1)
    assert importance(found, "optimizer.lr") > 0.5
    assert importance(found, "seed") < 0.1


def test_importance_of_nothing_is_nothing_on_average(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    shares = []
    for _ in range(200):
        statuses = [Status(state=DONE, overrides=[f"x={n % 5}"]) for n in range(30)]
        shares.append(importance(
            [RankedJob(Job(tmp_path), s, random.normal(), 0, 0, 0) for s in statuses], "x"
        ))  # fmt: skip
    assert np.mean(shares) < 0.07, "clipped at 0, so a little above it"


def test_importance_by_hand(tmp_path: Path) -> None:
    """Two groups, 1 2 and 5 6: SSW = 1, SST = 17, so 1 - (1/2) / (17/3)."""
    made = [
        RankedJob(Job(tmp_path), Status(overrides=[f"x={x}"]), score, 0, 0, 0)
        for x, score in (("a", 1.0), ("a", 2.0), ("b", 5.0), ("b", 6.0))
    ]
    assert importance(made, "x") == pytest.approx(1 - 0.5 / (17 / 3))


def test_three_pictures(tmp_path: Path) -> None:
    plot_sweep(entries(tmp_path, 24, 0.1), tmp_path, metric="val/dice", mode="max")
    for name in ("parallel", "budget", "importance"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert np.asarray(picture).std() > 5
