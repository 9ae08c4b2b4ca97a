"""TensorBoard and MLflow get metrics and settings, and nothing of the machine."""

import getpass
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medlight.core.errors import MissingExtraError
from medlight.loggers import local as loggers
from medlight.loggers.local import MLflow, TensorBoard

SETTINGS = {"seed": 3, "trainer": {"devices": 1}, "tags": ["a"]}


def test_tensorboard_holds_curves_and_settings(new_run: Callable[..., Any], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoard(run_dir=tmp_path)
    run = new_run("images", tmp_path, [], epochs=2)
    run.trainer.loggers = [logger]
    logger.log_hyperparams(SETTINGS)
    run.fit()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"train/loss_epoch", "val/dice"} <= set(tags["scalars"])
    assert len(events.Scalars("val/dice")) == 2
    [text] = [events.Tensors(tag)[0].tensor_proto.string_val[0] for tag in tags["tensors"]]
    assert b'"seed": 3' in text
    assert b'"devices": 1' in text
    names = [path.name for path in (tmp_path / "tensorboard").iterdir()]
    assert not [name for name in names if socket.gethostname() in name]


@pytest.mark.filterwarnings("ignore")  # MLflow's own, of the libraries below it
def test_mlflow_holds_curves_and_settings_and_a_resumed_run_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="the mlflow extra is not installed")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    first = MLflow(run_dir=tmp_path, tracking_uri=uri, tags=["pilot"])
    first.log_hyperparams(SETTINGS)
    first.log_metrics({"val/dice": 0.5}, step=1)
    again = MLflow(run_dir=tmp_path, tracking_uri=uri)
    again.log_hyperparams({**SETTINGS, "seed": 4, "more": 1})  # MLflow lets no parameter change
    again.log_metrics({"val/dice": 0.75}, step=2)
    again.finalize("success")
    run = first.experiment.get_run(first.run_id)
    assert again.run_id == first.run_id
    assert run.data.metrics == {"val/dice": 0.75}
    wanted = {"seed": "3", "trainer/devices": "1", "tags": "['a']", "more": "1"}
    assert run.data.params == wanted
    assert run.data.tags["pilot"] == "true"
    assert run.info.run_name == tmp_path.name
    told = " ".join(map(str, run.data.tags.values()))
    assert getpass.getuser() not in told
    assert os.getcwd() not in told


@pytest.mark.parametrize(("kind", "extra"), [(TensorBoard, "tensorboard"), (MLflow, "mlflow")])
def test_what_is_not_installed_says_how_to_install_it(
    kind: Callable[..., Any], extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'medlight\[{extra}\]'"):
        kind(run_dir=tmp_path)
