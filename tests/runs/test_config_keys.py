"""One table gives every key of a configuration its role."""

from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from medlight.cli.config import RunConfig, register
from medlight.cli.options import conf_dir, groups
from medlight.compare.runs import flatten
from medlight.runs.config_keys import (
    CASE_INDEPENDENT_DATA_KEYS,
    KEY_ROLES,
    RERUN_KEYS,
    Role,
    key_role,
    select_settings,
)

GROUPS = groups([conf_dir()])
EXTRA = ["callbacks=early_stopping", "logger=wandb", "trainer=ddp"]


def composed(experiment: str, *words: str) -> dict[str, Any]:
    """A configuration as its run directory keeps it, with references not followed."""
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", [f"experiment={experiment}", *words])
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    return dict(plain)


@pytest.fixture(scope="module")
def configs() -> list[dict[str, Any]]:
    return [composed(name, *words) for name in GROUPS["experiment"] for words in ((), EXTRA)]


def keys_of(configs: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for config in configs:
        yield from flatten(config)


def test_a_key_has_one_role() -> None:
    listed = [key for keys in KEY_ROLES.values() for key in keys]
    assert len(listed) == len(set(listed))


def test_no_entry_is_dead(configs: list[dict[str, Any]]) -> None:
    known = {key for key, _ in keys_of(configs)} | set(GROUPS) | set(RunConfig.__annotations__)
    listed = [key for keys in KEY_ROLES.values() for key in keys]
    listed += [*RERUN_KEYS, *(f"data.{key}" for key in CASE_INDEPENDENT_DATA_KEYS)]
    dead = [k for k in listed if not any(each == k or each.startswith(f"{k}.") for each in known)]
    assert not dead


def test_what_names_a_folder_of_this_machine_is_not_arithmetic(
    configs: list[dict[str, Any]],
) -> None:
    for key, value in keys_of(configs):
        if isinstance(value, str) and ("${paths." in value or "${oc.env:" in value):
            assert key_role(key) in (Role.LOCATION, Role.BOOKKEEPING), key


def test_every_key_keeps_its_role_with_what_is_above_it() -> None:
    assert key_role("optimizer.lr") is Role.ARITHMETIC
    assert key_role("my_own_key") is Role.ARITHMETIC
    assert key_role("metric") is key_role("mode") is Role.ARITHMETIC
    assert key_role("callbacks.checkpoint.monitor") is Role.ARITHMETIC
    assert key_role("callbacks.checkpoint.dirpath") is Role.LOCATION
    assert key_role("callbacks") is key_role("callbacks.ema") is Role.ARITHMETIC
    assert (key_role("job.checkpoint"), key_role("job.calibrate")) == (
        Role.BOOKKEEPING,
        Role.ARITHMETIC,
    )
    assert key_role("data.fold") is key_role("seed") is Role.REPEAT


def test_the_same_arithmetic_is_selected_wherever_files_are() -> None:
    places = ["data.root=a", "store.folder=b", "paths.cache=c", "data.num_workers=3", "name=y",
              "tags=[z]", "logger=none", "~callbacks.progress", "callbacks.panels.max_cases=1",
              "trainer.accelerator=cpu"]  # fmt: skip
    plain = composed("seg_unet2d")
    kept = select_settings(plain, (Role.ARITHMETIC,))
    assert kept == select_settings(composed("seg_unet2d", *places), (Role.ARITHMETIC,))
    for word in ("~callbacks.ema", "callbacks=early_stopping", "metric=val/nsd", "model=segresnet"):
        assert kept != select_settings(composed("seg_unet2d", word), (Role.ARITHMETIC,)), word
    assert {"seed", "paths", "logger"}.isdisjoint(kept)
