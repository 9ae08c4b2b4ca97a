"""What is mended on the way: memory that runs out."""

import pytest
import yaml

HUNGRY = """
import pytorch_lightning as pl
import torch

class Hungry(pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if len(batch["image"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
"""


@pytest.mark.slow
def test_where_memory_runs_out_the_batch_is_halved_and_a_step_keeps_its_samples(typed) -> None:
    (typed.folder / "hungry.py").write_text(HUNGRY)
    words = ["+callbacks.hungry._target_=hungry.Hungry", "seed=0"]
    code, out = typed(*words)
    assert code == 1
    assert "CUDA out of memory" in out
    code, out = typed(*words, "sweep.on_oom=halve")
    assert code == 0, out
    [(key, status)] = typed.statuses().items()
    assert (status["state"], status["batch_halvings"], status["failures"]) == ("done", 2, 1)
    saved = yaml.safe_load((typed.sweep / key / "config.yaml").read_text())
    assert saved["data"]["batch_size"] == 1
    assert saved["trainer"]["accumulate_grad_batches"] == 4
