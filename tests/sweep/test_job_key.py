"""Two jobs are one where they compute the same, and only there."""

import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from medlight.cli.config import register
from medlight.cli.options import conf_dir
from medlight.sweep import job_key as job_key_module
from medlight.sweep.job_key import code_hash, job_key, relevant_settings


def composed(*overrides: str) -> DictConfig:
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", ["experiment=seg_unet2d", *overrides])


PLAIN = job_key(composed(), "data")


@pytest.mark.parametrize(
    "word",
    ["logger=wandb", "logger=none", "paths.data=elsewhere", "paths.cache=elsewhere",
     "data.root=elsewhere", "data.num_workers=4", "store.num_workers=2", "group=g", "tags=[a]",
     "store.folder=elsewhere", "sweep=seeds", "sweep.max_failures=9", "paths.run_dir=here"],
)  # fmt: skip
def test_what_cannot_change_a_result_does_not_change_the_job(word: str) -> None:
    words = ["sweep=grid", word] if word.startswith("sweep.") else [word]
    assert job_key(composed(*words), "data") == PLAIN


@pytest.mark.parametrize(
    "word",
    ["seed=1", "optimizer.lr=0.123", "model.channels=[4,8]", "augment=none", "loss=cross_entropy",
     "data.fold=1", "trainer.max_epochs=3", "~callbacks.ema", "data.n_cases=31",
     "store.dtype=float16", "data.batch_size=2"],
)  # fmt: skip
def test_what_can_change_it_does(word: str) -> None:
    assert job_key(composed(word), "data") != PLAIN


def test_other_data_is_another_job() -> None:
    assert job_key(composed(), "other data") != PLAIN


def test_no_path_of_a_machine_is_left(tmp_path: Path) -> None:
    text = str(relevant_settings(composed(f"paths.data={tmp_path}", f"paths.cache={tmp_path}")))
    assert str(tmp_path) not in text
    assert str(Path.home()) not in text


def test_a_changed_line_of_the_users_own_net_is_another_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_net.py").write_text("WIDTH = 1\n")
    names = {"my_net.Net", "torch.nn.Linear", "monai.networks.nets.UNet"}
    before = code_hash(names)
    assert before != code_hash({"torch.nn.Linear"}), "the user's module counts"
    assert "my_net" not in sys.modules, "and is not run for that"
    (tmp_path / "my_net.py").write_text("WIDTH = 2\n")
    job_key_module._hash.cache_clear()
    assert code_hash(names) != before


def test_libraries_count_by_their_versions_in_provenance_only() -> None:
    assert code_hash({"torch.nn.Linear", "monai.losses.DiceLoss"}) == code_hash(())
