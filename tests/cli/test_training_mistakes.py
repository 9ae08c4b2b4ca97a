"""What a training cannot do is said in one line before its first epoch."""

import shlex
from pathlib import Path

import pytest

TINY = [
    "experiment=seg_unet2d", "data.n_cases=20", "data.batch_size=2", "data.epoch_samples=4",
    "model.channels=[4,8]", "model.strides=[2]", "trainer.max_epochs=1", "trainer.accelerator=cpu",
    "hydra.run.dir=run",
]  # fmt: skip

MISTAKES = {
    "metric=val/dce": ["no validation gives val/dce", "did you mean metric=val/dice"],
    "metric=test/dice": ["no validation gives test/dice", "metric=val/dice"],
    "metric=val/dice/livr": ["val/dice/liver"],
    "mode=maximum": ["callbacks.checkpoint", "min, max", "maximum"],
    "mode=min": ["val/dice is better higher", "give mode=max"],
    "metric=train/loss": ["train/loss is better lower", "give mode=min"],
    "callbacks.checkpoint.monitor=val/hd95_mm": ["no validation gives val/hd95_mm"],
    "callbacks=early_stopping +trainer.limit_val_batches=0": ["callbacks=early_stopping"],
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
