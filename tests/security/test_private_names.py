"""Names of patients and paths stay here, unless `share` says otherwise."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from medlight.cli import config as cli_config
from medlight.compare.groups import config_differences, group_runs
from medlight.loggers.local import MLflow
from medlight.loggers.wandb import WandbRunLogger
from medlight.runs.private import hash_settings, hide_settings, hide_words, strip_local_paths

NAME = "Mueller"
SETTINGS: dict[str, Any] = {
    "data": {"exclude": [f"{NAME}_1", f"{NAME}_2"], "root": f"../ds/Frau_{NAME}_home", "fold": 1},
    "provenance": {"data": {"excluded": [NAME], "withdrawn": 2}},
    "sweep": {"exclude": f"[{NAME}]", "lr": 0.1},
    "paths": {"cache": f"/mnt/{NAME} x/cache"},
    "init": f"../../../mnt/Max {NAME}/best.ckpt",
    "trainer": {"accelerator": "cpu"},
}


def test_settings_are_sent_without_cases_and_places() -> None:
    sent = hide_settings(SETTINGS)
    assert NAME not in json.dumps(sent)
    assert sent["data"]["exclude"] == 2
    assert sent["provenance"]["data"] == {"excluded": 1, "withdrawn": 2}
    assert sent["init"] == "..."
    assert (sent["trainer"], sent["data"]["fold"], sent["sweep"]["lr"]) == (
        {"accelerator": "cpu"}, 1, 0.1,
    )  # fmt: skip


@pytest.mark.parametrize(("share", "told"), [(False, False), (True, True)])
def test_wandb_gets_names_only_where_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: bool, told: bool
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(
        "pytorch_lightning.loggers.WandbLogger.log_hyperparams",
        lambda self, each: sent.append(each),
    )
    logger = WandbRunLogger(run_dir=tmp_path, offline=True, share=share)
    logger.log_hyperparams(SETTINGS)
    assert (NAME in json.dumps(sent)) is told


def test_mlflow_gets_no_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(
        "pytorch_lightning.loggers.MLFlowLogger.log_hyperparams",
        lambda self, each: sent.append(each),
    )
    logger = object.__new__(MLflow)
    logger._id_file = tmp_path / "mlflow" / "id"
    run = SimpleNamespace(data=SimpleNamespace(params={}))
    monkeypatch.setattr(MLflow, "experiment", SimpleNamespace(get_run=lambda _: run))
    monkeypatch.setattr(MLflow, "run_id", "1")
    logger.log_hyperparams(SETTINGS)
    assert sent
    assert NAME not in json.dumps(sent)


def test_name_of_a_run_names_no_case(monkeypatch: pytest.MonkeyPatch) -> None:
    task = ["seed=1", f"data.exclude=[{NAME}_1]", f"+init={NAME}", f"~data.exclude={NAME}"]
    hydra = SimpleNamespace(
        initialized=lambda: True, get=lambda: OmegaConf.create({"overrides": {"task": task[:2]}})
    )
    monkeypatch.setattr(cli_config, "HydraConfig", hydra)
    assert cli_config.override_suffix() == " seed=1 data.exclude=..."
    assert hide_words([f"+data.exclude=[{NAME}]"]) == ["+data.exclude=..."]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("init", "in/Mueller_Eva.pt"),
        ("init", "Mueller"),
        ("data.patient", "in/Mueller.csv"),
        ("data.patient", "(Mueller|Schmidt)_"),
        ("data.withdrawn", "Mueller.txt"),
        ("data.manifest", "Mueller"),
        ("data.scans", "..\\Mueller\\x"),
        ("model.weights", "Mueller.pth"),
        ("transforms.tables", ["a/Mueller.csv"]),
    ],
)
def test_no_file_is_sent(key: str, value: Any) -> None:
    nested: Any = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    assert NAME not in json.dumps(hide_settings(nested))
    assert NAME not in json.dumps(hash_settings({key: value}, lambda _: "h"))
    (word,) = hide_words([f"{key}={value}"])
    assert NAME not in word


def test_what_is_no_file_is_sent() -> None:
    plain = {
        "callbacks": {"checkpoint": {"monitor": "val/dice", "mode": "max"}},
        "metric": "val/dice",
        "model": {"_target_": "monai.networks.nets.UNet", "act": "prelu", "dropout": "0.1"},
        "data": {"exclude": [], "patient": None, "task": "Task04_Hippocampus"},
    }
    assert hide_settings(plain) == plain | {"data": plain["data"] | {"exclude": 0}}
    assert hide_words(["optimizer.lr=1e-3", "metric=val/dice"]) == [
        "optimizer.lr=1e-3",
        "metric=val/dice",
    ]


def test_pushed_comparison_names_no_case() -> None:
    runs: list[Any] = []
    for seed, case in enumerate([f"{NAME}_1", f"{NAME}_2"]):
        config = hash_settings(
            {"name": "x", "data.exclude": [case], "init": f"/mnt/{NAME}/a.ckpt"},
            lambda c: f"h{len(c)}{c[-1]}",
        )
        runs.append(
            SimpleNamespace(
                config=config, seed=str(seed), fold="0", path=Path("x"), get=lambda key: "1"
            )
        )
    groups = group_runs(runs)
    told = [group.name for group in groups] + [str(config_differences(groups))]
    assert len(groups) == 2
    assert NAME not in " ".join(told)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("data.root=file:///mnt/alice", "data.root=.../alice"),
        ("data.root=~alice/x/scans", "data.root=.../scans"),
        ("data.root=../../elsewhere/alice", "data.root=.../alice"),
        ("data.root=/mnt/Max Mustermann/scans", "data.root=.../scans"),
        ("x=https://me:s3cret@host/x", "x=https://host/x"),
        ("+logger.api_key=abc", "+logger.api_key=..."),
        ("x={token:abc,lr:1}", "x={token:...,lr:1}"),
        ("seed=1", "seed=1"),
        ("model.name=a/b", "model.name=a/b"),
    ],
)
def test_command_on_record_names_no_place_and_no_password(word: str, told: str) -> None:
    assert strip_local_paths(word) == told
