"""What only the machine can say."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from medlight.cli.build import resolve_hardware
from medlight.cli.options import conf_dir


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="Linux tells what a CPU can do")
def test_a_cpu_gets_bf16_where_it_computes_in_it() -> None:
    trainer = OmegaConf.load(conf_dir() / "trainer" / "default.yaml")
    trainer.accelerator = "cpu"
    resolve_hardware(trainer)
    native = {"avx512_bf16", "amx_bf16"} & set(Path("/proc/cpuinfo").read_text().split())
    assert trainer.precision == ("bf16-mixed" if native else "32-true")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
def test_a_precision_that_was_chosen_stays(precision: str) -> None:
    trainer = OmegaConf.create({"accelerator": "auto", "precision": precision})
    resolve_hardware(trainer)
    assert trainer.precision == precision


@pytest.mark.skipif(torch.cuda.is_available(), reason="without a GPU")
def test_batch_norms_are_each_processs_own_on_cpus() -> None:
    trainer = OmegaConf.load(conf_dir() / "trainer" / "ddp.yaml")
    trainer.update(accelerator="auto", precision="auto")
    resolve_hardware(trainer)
    assert trainer.sync_batchnorm is False
