"""Lightning's loggers for TensorBoard and MLflow: curves and settings, and nothing that names a
user or a machine."""

import importlib.util
import json
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from medlight.compat.tensorboard import no_host_in_file_names
from medlight.core.errors import MissingExtraError
from medlight.runs.private import hide_settings

SETTINGS = "settings"


def require_extra(extra: str, module: str) -> None:
    """MissingExtraError where an optional dependency is not installed."""
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(f"logger={extra} needs {module}: pip install 'medlight[{extra}]'")


class TensorBoard(TensorBoardLogger):
    """Event files in `run_dir/tensorboard`; settings as text.

    Show them with `tensorboard --logdir outputs`.

    Args:
        run_dir: the run directory.
    """

    def __init__(self, *, run_dir: Path) -> None:
        require_extra("tensorboard", "tensorboard")
        super().__init__(save_dir=run_dir, name="tensorboard", version="", default_hp_metric=False)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        with no_host_in_file_names():
            return super().experiment

    @rank_zero_only
    def log_hyperparams(
        self,
        params: dict[str, Any] | Namespace,
        metrics: dict[str, Any] | None = None,
        step: int | None = None,
    ) -> None:
        settings = dict(params if isinstance(params, Mapping) else vars(params))
        self.hparams = {**dict(self.hparams), **settings}
        text = json.dumps(self.hparams, indent=2, default=str, ensure_ascii=False)
        self.experiment.add_text(SETTINGS, f"```\n{text}\n```")


class MLflow(MLFlowLogger):
    """A run of an MLflow experiment. A run that resumes in its directory goes on under its id.

    Args:
        run_dir: the run directory, whose name the run gets.
        experiment: that the run belongs to.
        tracking_uri: of a server or a database.
        tags: of the run.
    """

    def __init__(
        self,
        *,
        run_dir: Path,
        experiment: str = "medlight",
        tracking_uri: str = "sqlite:///mlflow.db",
        tags: Sequence[str] = (),
    ) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before the import
        require_extra("mlflow", "mlflow")
        self._id_file = Path(run_dir) / "mlflow" / "id"
        super().__init__(
            experiment_name=experiment,
            run_name=Path(run_dir).name,
            tracking_uri=tracking_uri,
            tags=dict.fromkeys(tags, "true")
            | {"mlflow.user": "", "mlflow.source.name": "medlight", "mlflow.source.git.commit": ""},
            run_id=self._id_file.read_text() if self._id_file.is_file() else None,
        )

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Settings that a resumed run has logged already stay: MLflow lets none change."""
        given = params if isinstance(params, Mapping) else vars(params)
        settings = flatten(hide_settings(given))  # the server may be anywhere
        known = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({k: v for k, v in settings.items() if k not in known})
        self._id_file.parent.mkdir(parents=True, exist_ok=True)
        self._id_file.write_text(str(self.run_id))


def flatten(params: Mapping[str, Any], stem: str = "") -> dict[str, Any]:
    """
    >>> flatten({"trainer": {"devices": 1}, "seed": 0})
    {'trainer/devices': 1, 'seed': 0}
    """
    found: dict[str, Any] = {}
    for key, value in params.items():
        name = f"{stem}{key}"
        found |= flatten(value, f"{name}/") if isinstance(value, Mapping) else {name: value}
    return found
