"""What a training cannot do is said in one line before its first epoch."""

import logging
import shlex
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from medlight.cli.bounds import check_bounds
from medlight.cli.rerun import parse_overrides
from medlight.core.errors import ConfigError
from medlight.sweep import command
from medlight.sweep.sweep import Fingerprints

TINY = [
    "experiment=seg_unet2d", "data.n_cases=20", "data.batch_size=2", "data.epoch_samples=4",
    "model.channels=[4,8]", "model.strides=[2]", "trainer.max_epochs=1", "trainer.accelerator=cpu",
    "hydra.run.dir=run",
]  # fmt: skip

MISTAKES = {
    "metric=val/dce": ["no validation gives val/dce", "did you mean metric=val/dice"],
    "mode=maximum": ["callbacks.checkpoint", "min, max", "maximum"],
    "mode=min": ["val/dice is better higher", "give mode=max"],
    "callbacks.checkpoint.monitor=val/hd95_mm": ["no validation gives val/hd95_mm"],
    "callbacks=early_stopping +trainer.limit_val_batches=0": ["callbacks=early_stopping"],
    "seed=-1": ["seed must be whole and at least 0 and at most 4.29497e+09, got -1"],
    "trainer.max_epochs=0": [
        "trainer.max_epochs must be whole and at least 1, or null, or -1, got 0"
    ],
    "optimizer=sgd optimizer.momentum=0": ["optimizer: Nesterov momentum requires a momentum"],
    "model.channels=[4,8,16]": ["model.channels has 3 levels", "give model.strides=[2, 2]"],
    "model.norm=nothing": ["model: UNet cannot be built"],
    "+trainer.enable_checkpointing=false": ["trainer: ", "ModelCheckpoint"],
    "callbacks.checkpoint.save_last=true": ["callbacks.checkpoint.save_last", "leave save_last"],
}


@pytest.mark.parametrize("words", MISTAKES)
def test_one_line_before_training(
    run_cli, words: str, shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of most, a traceback told after the first epoch."""
    monkeypatch.setenv("MEDLIGHT_CACHE", str(shared_cache))
    code, out, err = run_cli(*TINY, *shlex.split(words))
    assert code == 1, out
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err
    for part in MISTAKES[words]:
        assert part in err
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.parametrize(
    "word",
    [
        "seed=4294967296", "data.epoch_samples=0", "data.num_workers=-1",
        "trainer.accumulate_grad_batches=0", "trainer.check_val_every_n_epoch=0",
        "trainer.gradient_clip_val=-1", "callbacks.ema.decay=2", "trainer.max_epochs=-5",
        "callbacks.checkpoint.save_top_k=-2", "data.tolerance_mm=-1", "job.tolerance_mm=-0.5",
        "loss.lambda_ce=-1", "augment.spatial.flip.probability=50", "callbacks.ema.decay=1",
        "schedule.warmup=10", "schedule.warmup=-1", "optimizer.weight_decay=-1",
        "optimizer.momentum=2", "loss.alpha=-1", "loss.gamma=-2", "store.memory_gb=-1",
        "inference.overlap=1", "inference.overlap=50", "inference.overlap=-0.5",
        "inference.batch_size=0", "data.eval_batch_size=0", "trainer.max_epochs=1.5",
        "data.batch_size=2.5", "schedule.power=-3", "schedule.pct_start=30", "model.dropout=1",
        "augment.intensity.low_resolution.zoom=2", "optimizer.momentum=1", "data.batch_size=True",
        "optimizer.lr=0", "optimizer.lr=-1", "data.group_size=0",
        "augment.spatial.affine.translate=30",
    ],
)  # fmt: skip
def test_numbers_out_of_their_range(word: str) -> None:
    """A traceback of torch's or NumPy's, or a run that trained nothing and finished."""
    key, value = word.split("=")
    with pytest.raises(
        ConfigError, match=f"^{key} must be (whole and )?(at least|above) .*, got {value}$"
    ):
        check_bounds(OmegaConf.from_dotlist([word]))


@pytest.mark.parametrize("word", ["transforms.spacing_mm=[1,1,0]", "data.patch=[16,0,16]"])
def test_each_number_of_a_list(word: str) -> None:
    with pytest.raises(ConfigError, match=r"must be (whole and at least 1|above 0), got 0"):
        check_bounds(OmegaConf.from_dotlist([word]))


@pytest.mark.parametrize("key", ["data.tolerance_mm", "job.tolerance_mm", "task.mine"])
def test_nan_is_no_setting(key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} must be a number, got nan"):
        check_bounds(OmegaConf.from_dotlist([f"{key}=.nan"]))


def test_numbers_within_it(run_cli) -> None:
    for experiment in ("seg_unet3d", "cls_resnet_fast"):
        check_bounds(OmegaConf.create(run_cli(f"experiment={experiment}", "--cfg", "job").out))
    words = ["trainer.max_epochs=-1", "trainer.max_epochs=null", "seed=0", "callbacks=null"]
    for word in words:
        check_bounds(OmegaConf.from_dotlist([word]))


MANY = {
    "-m model=unet3d,segresnet optimizer.lrx=1": "there is no key optimizer.lrx; did you mean",
    "-m model=unet3d,dynunet model.deep_supervision=true": "no key model.deep_supervision",
    "-m seed=0,1 --cfg job": "-m runs a sweep, --cfg and --info show one configuration",
}


@pytest.mark.parametrize("words", MANY)
def test_one_line_for_a_sweep(run_cli, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a group, every slip was answered with: add --multirun, which was there."""
    context = SimpleNamespace(Process=threading.Thread)
    monkeypatch.setattr(command, "process_context", lambda: context)
    monkeypatch.setattr(Fingerprints, "of", lambda *_: "data")
    code, _, err = run_cli(*shlex.split(words))
    assert (code, err.count("\n")) == (1, 1), err
    assert MANY[words] in err


@pytest.mark.parametrize("typed", ["2024", "nan", "1e5", "1_2", "'quoted'"])
def test_a_sweep_is_called_what_was_typed(typed: str) -> None:
    """2024 was a number, and the folder of the sweep a TypeError."""
    words = parse_overrides(["seed=0,1", f"sweep.name={typed}"])
    assert command.typed_name(words) == typed.strip("'")
    assert command.typed_name(parse_overrides(["sweep.name=null"])) is None


def test_profilers_print(
    run_cli, shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their reports were swallowed, on the screen and in run.log."""
    monkeypatch.setenv("MEDLIGHT_CACHE", str(shared_cache))
    monkeypatch.setattr(logging.getLogger("pytorch_lightning"), "propagate", True)
    words = ["+trainer.profiler=simple", "~callbacks.panels", "~callbacks.checkpoint"]
    code, _, err = run_cli(*TINY, *words)
    assert code == 0, err
    assert "FIT Profiler Report" in (tmp_path / "run" / "run.log").read_text()
    assert [path.name for path in tmp_path.rglob("*.ckpt")] == ["last.ckpt"]
