"""What earlier versions wrote or users still type is read under the present names."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from medlight.callbacks.rescale_schedule import RescaleSchedule
from medlight.cli.config import load_config
from medlight.runs.renames import KEYS, TARGETS, rename_config, rename_overrides, rename_scores

ROOT = Path(__file__).parents[2]
RECORDED = sorted(path.parent for path in (ROOT / "experiments").glob("*/*/config.yaml"))
LATEST = {run.parent: run for run in RECORDED}.values()
"""Of each recipe. The settings of older records were other ones, not only other names."""


def nodes(node: Any) -> list[dict[str, Any]]:
    """Every mapping below that names a target."""
    if isinstance(node, list):
        return [found for each in node for found in nodes(each)]
    if not isinstance(node, dict):
        return []
    own = [node] if "_target_" in node else []
    return own + [found for value in node.values() for found in nodes(value)]


def located(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("run", RECORDED, ids=lambda run: f"{run.parent.name}/{run.name}")
def test_every_recorded_run_names_classes_that_are_there(run: Path) -> None:
    config: Any = OmegaConf.to_container(load_config(run))
    for node in nodes(config):
        if node["_target_"].startswith("medlight."):
            assert callable(located(node["_target_"]))


@pytest.mark.parametrize("run", LATEST, ids=lambda run: f"{run.parent.name}/{run.name}")
def test_the_latest_records_name_settings_that_are_there(run: Path) -> None:
    config: Any = OmegaConf.to_container(load_config(run))
    for node in nodes(config):
        target = located(node["_target_"])
        if not node["_target_"].startswith("medlight."):
            continue
        called = target.__init__ if inspect.isclass(target) else target
        known = set(inspect.signature(called).parameters)
        assert {key for key in node if not key.startswith("_")} <= known, node["_target_"]


@pytest.mark.parametrize("target", TARGETS.values())
def test_present_names_of_classes_are_there(target: str) -> None:
    assert callable(located(target))


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("data.foreground=0", "data.foreground_oversampling=0"),
        ("loss.ce=0", "loss.lambda_ce=0"),
        ("inference.mirror=true", "inference.tta=true"),
        ("callbacks.last.minutes=1", "callbacks.last_checkpoint.every_n_minutes=1"),
        ("~callbacks.rate", "~callbacks.learning_rate"),
        ("callbacks.calibration.apply=true", "job.calibrate=true"),
        ("task=findings", "task=multilabel"),
        ("doctor", "profile"),
        ("missing=miss", "missing=empty"),
        ("processes=2", "num_processes=2"),
    ],
)
def test_old_words_are_taken_as_the_new_ones_with_a_note(typed: str, read: str) -> None:
    assert rename_overrides([typed, "seed=1"]) == (
        [read, "seed=1"],
        [f"{typed} is called {read} now"],
    )


def test_present_names_stay() -> None:
    assert rename_overrides([f"{key}=1" for key in KEYS.values()])[1] == []


def test_calibration_of_then_is_a_setting_of_the_verb() -> None:
    old = {"job": {"_target_": "x"}, "callbacks": {"calibration": {"apply": True}}}
    assert rename_config(old) == {"job": {"_target_": "x", "calibrate": True}, "callbacks": {}}


def test_scores_have_the_present_names() -> None:
    assert rename_scores({"test/missed/liver": 1, "test/dice": 0.5}) == {
        "test/false_negatives/liver": 1,
        "test/dice": 0.5,
    }


def test_a_checkpoint_of_then_still_says_how_long_the_schedule_was_planned() -> None:
    assert RescaleSchedule().state_key == "Stretch"
