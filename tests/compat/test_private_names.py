"""Private names of other libraries are there, and do what they are used for."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from medlight.compat import hydra, importlib, isal, lightning, optuna, tensorboard, wandb
from medlight.compat import torch as torch_compat


def test_hydra_parses_options_between_overrides() -> None:
    args = hydra.argument_parser().parse_intermixed_args(["a=1", "--cfg", "job", "b=2"])
    assert args.overrides == ["a=1", "b=2"]
    assert args.cfg == "job"


def test_hydra_makes_a_launcher_without_setting_it_up() -> None:
    from hydra.core.plugins import Plugins
    from omegaconf import OmegaConf

    Plugins.instance()
    target = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
    launcher: Any = hydra.instantiate_launcher(OmegaConf.create({"_target_": target}))
    assert launcher.config is None
    assert hydra.config_callbacks(OmegaConf.create({"hydra": {"callbacks": {}}})).callbacks == []


def test_isal_unpacks_into_a_buffer() -> None:
    import gzip

    content, buffer = os.urandom(5000), bytearray(5000)
    stream = isal.gzip_reader(io.BytesIO(gzip.compress(content)), 1 << 12)
    place, view = 0, memoryview(buffer)
    while count := stream.readinto(view[place:]):
        place += count
    assert bytes(buffer) == content


def test_lightning_stops_a_fit_between_two_batches() -> None:
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            lightning.stop_after_batch(trainer, trainer.global_step == 2)

    trainer = _trainer(Stop())
    with pytest.raises(pl.utilities.exceptions.SIGTERMException):
        trainer.fit(Line(), _batches())
    assert trainer.global_step == 2


def test_lightning_has_the_means_and_the_counters_of_an_epoch() -> None:
    seen: dict[str, Any] = {}

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 3:
                metric = lightning.mean_metrics(trainer)["training_step.loss"]
                seen["weight"] = float(metric.cumulated_batch_size)
                loops = trainer.fit_loop.state_dict()
                lightning.rewind(loops, epoch=1, batch=2, trainer=trainer)
                seen["loops"] = loops

    _trainer(Look()).fit(Line(), _batches())
    assert seen["weight"] == 3 * 2  # batches of two
    assert seen["loops"]["epoch_progress"]["current"]["ready"] == 2
    assert set(seen["loops"]["epoch_loop.batch_progress"]["current"].values()) == {2}


def test_lightning_makes_its_command_of_the_main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytorch_lightning.strategies.launchers import subprocess_script

    import __main__

    monkeypatch.setattr(__main__, "__spec__", __main__.__spec__)
    monkeypatch.setattr(sys, "argv", ["x", "a run"])
    lightning.start_ranks_from("medlight.sweep.process")
    command = subprocess_script._basic_subprocess_cmd()
    assert list(command)[1:] == ["-m", "medlight.sweep.process", "a run"]


def test_optuna_tells_a_trial_by_the_number_in_its_storage() -> None:
    import optuna as library

    study = library.create_study()
    study.ask()
    trial = study.ask()
    number = optuna.trial_id(trial)
    study._storage.set_trial_user_attr(number, "key", "value")
    assert study.trials[1].user_attrs == {"key": "value"}


def test_tensorboard_names_its_files_without_the_host(tmp_path: Path) -> None:
    import socket

    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    with tensorboard.no_host_in_file_names():
        EventFileWriter(str(tmp_path)).close()
    [path] = tmp_path.iterdir()
    assert ".run." in path.name
    assert socket.gethostname() not in path.name


def test_torch_tells_storages_apart_where_they_hold_nothing() -> None:
    with torch.device("meta"):
        one, other = torch.empty(3), torch.empty(3)
    assert torch_compat.storage_id(one) == torch_compat.storage_id(one.view(3, 1))
    assert torch_compat.storage_id(one) != torch_compat.storage_id(other)


def test_torch_has_one_base_for_batch_norms() -> None:
    for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm):
        assert issubclass(kind, torch_compat.BatchNorm)
    assert not issubclass(nn.InstanceNorm3d, torch_compat.BatchNorm)


def test_torch_copies_many_tensors_in_place() -> None:
    targets = [torch.zeros(2), torch.zeros(3, dtype=torch.long)]
    torch_compat.copy_into(targets, [torch.ones(2), torch.arange(3)])
    assert [each.tolist() for each in targets] == [[1, 1], [0, 1, 2]]


def test_torch_gives_the_net_below_a_compiled_one() -> None:
    net = nn.Linear(1, 1)
    assert torch_compat.uncompiled(torch.compile(net, backend="eager")) is net
    assert torch_compat.uncompiled(net) is net


def test_lightning_clips_for_a_fused_optimizer_that_is_told_so() -> None:
    optimizer: Any = torch.optim.AdamW(nn.Linear(1, 1).parameters(), fused=True)
    assert optimizer._step_supports_amp_scaling
    precision = pl.plugins.MixedPrecision("bf16-mixed", "cpu")
    with pytest.raises(RuntimeError, match="does not allow for gradient clipping"):
        precision.clip_gradients(optimizer, 1.0)
    torch_compat.allow_clipping(optimizer)
    precision.clip_gradients(optimizer, 1.0)


def test_wandb_begins_a_run_as_it_is_told_and_ends_it(tmp_path: Path) -> None:
    logger = pl.loggers.WandbLogger(save_dir=tmp_path, id="first")
    wandb.finish_run(logger, exit_code=0)  # there is none yet
    arguments = wandb.init_arguments(logger)
    arguments.pop("anonymous", None)
    arguments["mode"] = "offline"  # W&B reads the environment once a process, perhaps before now
    wandb.begin_as(logger, "second")
    run = logger.experiment
    assert run.id == logger.version == "second"
    wandb.finish_run(logger, exit_code=0)
    assert logger._experiment is None


def test_python_says_that_a_module_is_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from medlight.compat.importlib import is_being_imported\nnow = is_being_imported('half')"
    )
    (tmp_path / "half.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    import half

    assert half.now
    assert not importlib.is_being_imported("half")
    assert not importlib.is_being_imported("nothing")


class Line(pl.LightningModule):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        loss = self.layer(batch[0]).mean()
        self.log("loss", loss, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def _trainer(callback: pl.Callback) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", max_epochs=1, callbacks=[callback], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


def _batches() -> torch.utils.data.DataLoader[Any]:
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(10, 1)), 2)
