"""A run directory of somebody else builds nothing but what is on the list, or is trusted."""

import copy
import importlib
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from medlight.cli.build import load_run_data, load_trained
from medlight.cli.config import load_config
from medlight.cli.options import conf_dir, import_from_here
from medlight.cli.trust import (
    ALLOWED,
    check_trusted,
    is_trusted,
    take_trust,
    targets_of_folder,
    trusted_names,
)
from medlight.core.errors import ConfigError

RECORDED = sorted((Path(__file__).parents[2] / "experiments").glob("*/*/config.yaml"))
PROOF = "proof"
PAYLOADS: dict[str, dict[str, Any]] = {
    "write_text": {"_target_": "medlight.runs.files.write_text", "path": PROOF, "text": "x"},
    "pathlib": {"_target_": "pathlib.Path.write_text", "_args_": [
        {"_target_": "pathlib.Path", "_args_": [PROOF]}, "x"]},
    "sympify": {"_target_": "sympy.sympify", "a": f"open({PROOF!r}, 'w')"},
    "partial": {"_target_": "functools.partial", "_args_": [
        {"_target_": "hydra.utils.get_method", "path": "os.mkdir"}, PROOF]},
    "pickle": {"_target_": "pandas.read_pickle", "filepath_or_buffer": "payload.pkl"},
    "monai": {"_target_": "monai.data.utils.pickle_operations", "data": {}},
    "bundle": {"_target_": "monai.bundle.run", "config_file": "x"},
    "hub": {"_target_": "torch.hub.load", "repo_or_dir": ".", "source": "local", "model": "x"},
    "os": {"_target_": "os.mkdir", "path": PROOF},
}  # fmt: skip


@pytest.mark.parametrize(
    ("group", "payload"),
    [
        *(("data", name) for name in PAYLOADS),
        *((group, "write_text") for group in ("task", "callbacks", "job")),
    ],
)
def test_foreign_config_runs_no_code(foreign_run, run_cli, group: str, payload: str) -> None:
    planted = copy.deepcopy(PAYLOADS[payload])
    run = foreign_run(**{group: {"evil": planted} if group == "callbacks" else planted})
    for word in (f"resume={run}", f"run={run}"):
        verb = ["evaluate"] if word.startswith("run") else []
        code, _, err = run_cli(*verb, word)
        assert code == 1
        assert "Traceback" not in err
        assert planted["_target_"] in err
        assert "trust=[" in err
    assert load_run_data(run) is None  # which plain `compare` asks
    with pytest.raises(ConfigError, match="trust="):
        load_trained(run, "best", trainer=OmegaConf.create({"accelerator": "cpu"}))
    assert not Path(PROOF).exists()


def test_foreign_config_imports_no_module_of_the_run(foreign_run, run_cli) -> None:
    run = foreign_run(data={"_target_": "foreign.payload.Data"})
    (run / "payload.py").write_text(f"open({PROOF!r}, 'w')\n")
    assert "trust=[foreign]" in run_cli("evaluate", f"run={run}").err
    assert not Path(PROOF).exists()


@pytest.mark.parametrize(
    "value",
    ["http://h/${oc.env:SECRET}", "${oc.env:SECRET}", "${oc.decode:'{_target_: os.mkdir}'}",
     "${oc.create:{_target_:os.mkdir}}", "x${oc.env:HOME}", "${oc.env:HOME}/${oc.env:SECRET}",
     "${oc.env:MEDLIGHT_DATA,${oc.env:SECRET}}", "${hydra:runtime.cwd}", "${now:%Y}",
     "${.${oc.env:SECRET}}", "http://host/x", "${part}//host/x", "s3://bucket/x"],
)  # fmt: skip
def test_foreign_config_reads_no_environment_and_names_no_server(
    foreign_run, saved_config, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SECRET", "hush")
    callbacks = copy.deepcopy(saved_config["callbacks"])
    callbacks["checkpoint"]["dirpath"] = value.replace("part", "callbacks.last_checkpoint.x")
    callbacks["last_checkpoint"]["x"] = "http:"
    with pytest.raises(ConfigError, match=r"config\.yaml: callbacks\.checkpoint\.dirpath") as said:
        load_config(foreign_run(callbacks=callbacks))
    assert "hush" not in str(said.value)


def test_target_put_together_by_a_reference_is_refused(foreign_run) -> None:
    with pytest.raises(ConfigError, match="must be the name of a constructor"):
        load_config(foreign_run(data={"_target_": "${name}"}, name="os.mkdir"))


def test_own_runs_are_read(foreign_run) -> None:
    assert load_config(foreign_run()).name == "cls_resnet_fast"


@pytest.mark.parametrize("file", RECORDED, ids=lambda f: f.parent.name)
def test_recorded_runs_are_read(file: Path) -> None:
    assert {"data", "task", "trainer"} <= set(load_config(file.parent))


def test_list_names_constructors_that_exist_and_all_that_the_configs_name() -> None:
    shipped = {
        name for name in targets_of_folder(conf_dir()) if not name.startswith("medlight.sweep")
    }
    assert shipped <= ALLOWED
    for name in ALLOWED:
        home, _, last = name.rpartition(".")
        assert callable(getattr(importlib.import_module(home), last)), name


@pytest.mark.parametrize(
    "name",
    [
        "functools.partial",
        "monai.data.utils.no_collation",
        "medlight.jobs.fit",
        "torch.optim",
        "torch.hub.load",
    ],
)
def test_list_allows_constructors_not_packages(name: str) -> None:
    assert not is_trusted(name, ())


def test_trust_is_of_whole_names() -> None:
    assert is_trusted("robust.Robust", ["robust"])
    assert not is_trusted("robustness.Robust", ["robust"])
    assert take_trust(["a=1", "trust=[x,y.z]", "trust=w"]) == (["a=1"], ["x", "y.z", "w"])


def test_own_conf_is_trusted_and_a_word_too(
    foreign_run, run_cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = foreign_run(data={"_target_": "own_data.Data"})
    Path("own_data.py").write_text("class Data:\n    def __init__(self) -> None: ...\n")
    assert "trust=[own_data]" in run_cli("evaluate", f"run={run}").err
    with pytest.raises(ConfigError):
        load_config(run)
    assert run_cli("--cfg", "job", "evaluate", f"run={run}", "trust=[own_data]").code == 0
    assert "MEDLIGHT_TRUST" not in os.environ  # a word holds for its command
    monkeypatch.setenv("MEDLIGHT_TRUST", "own_data")
    load_config(run)
    monkeypatch.delenv("MEDLIGHT_TRUST")
    Path("conf/data").mkdir(parents=True)
    Path("conf/data/own.yaml").write_text("_target_: own_data.Data\n")
    load_config(run)


def test_config_cannot_trust_itself(foreign_run, run_cli) -> None:
    run = foreign_run(trust=["os"], data={"_target_": "os.mkdir", "path": PROOF})
    assert run_cli("evaluate", f"run={run}").code == 1
    assert not Path(PROOF).exists()


def test_working_directory_is_searched_last_and_only_for_trusted_modules(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", ["/first"])
    Path("torch.py").write_text("raise SystemExit('taken over')\n")
    import_from_here(trusted_names())
    assert sys.path == ["/first"]
    Path("mine.py").write_text("")
    import_from_here(["mine.Net"])
    assert sys.path == ["/first", str(tmp_path)]


def test_resume_does_nothing_but_train(foreign_run, run_cli) -> None:
    run = foreign_run(job={"_target_": "medlight.jobs.export.export", "output": PROOF})
    assert "resume= continues a training" in run_cli(f"resume={run}").err


def test_checkpoint_that_is_a_pickle_is_one_line(foreign_run) -> None:
    run = foreign_run()
    (run / "checkpoints").mkdir()
    broken = {"pickle": pickle.dumps(os.getcwd), "empty": b"", "list": None}
    import torch

    from medlight.core.errors import DataError

    for name, content in broken.items():
        path = run / "checkpoints" / "best.ckpt"
        if content is None:
            torch.save([1, 2], path)
        else:
            path.write_bytes(content)
        with pytest.raises(DataError, match=r"best\.ckpt") as said:
            load_trained(run, "best", trainer=OmegaConf.create({"accelerator": "cpu"}))
        assert "\n" not in str(said.value), name


@pytest.mark.parametrize(
    "text", ["data:\n", "data: []\n", "[]", "", "a: [", "\x00", "x: 1\n", "data: 5\n", "job: x\n"]
)
def test_malformed_config_is_one_line(foreign_run, run_cli, text: str) -> None:
    run = foreign_run()
    (run / "config.yaml").write_text(text)
    for words in (["evaluate", f"run={run}"], [f"resume={run}"]):
        code, _, err = run_cli(*words)
        assert code == 1
        assert "Traceback" not in err, err[-600:]
    assert load_run_data(run) is None


def test_check_trusted_tells_file_key_and_word() -> None:
    with pytest.raises(ConfigError) as said:
        check_trusted({"loss": {"_target_": "robust.Robust"}}, "run/config.yaml")
    assert "run/config.yaml: loss._target_ is robust.Robust" in str(said.value)
    assert "trust=[robust]" in str(said.value)
