"""Laws over conf/: whatever is there composes, names real constructors, and says what it is."""

import re
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from medlight.cli.config import RunConfig, register
from medlight.cli.options import conf_dir, groups, header_field, yaml_summary
from medlight.cli.validate import check_targets
from medlight.core.errors import ConfigError
from medlight.sweep.command import LAUNCHER_PACKAGES

CONF = conf_dir()
TREE = groups([CONF])
EXPERIMENTS = TREE.get("experiment", {})
CHOICES = [(group, name) for group, options in TREE.items() for name in options]
SHIPPED_LIBRARIES = (
    *("medlight.", "monai.", "torch.", "pytorch_lightning.", "torchmetrics."),
    "datetime.",
)


def composed(*overrides: str) -> DictConfig:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*overrides])


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_option_composes_and_names_real_constructors(group: str, name: str) -> None:
    if group == "launcher" and LAUNCHER_PACKAGES[name].startswith(
        "hydra_plugins"
    ):  # with their own schemas
        pytest.importorskip(LAUNCHER_PACKAGES[name])
        assert composed(f"launcher={name}").launcher._target_.startswith(LAUNCHER_PACKAGES[name])
    else:
        check_targets(composed(f"{group}={name}"))


@pytest.mark.parametrize(
    "word",
    ["optimizer.lr=high", "schedule.warmup=x", "trainer.gradient_clip_val=x", "loss.lambda_ce=x"],
)
def test_a_word_for_a_number_is_an_error(word: str) -> None:
    key, _, value = word.partition("=")
    with pytest.raises(ConfigError, match=f"{key} takes a number, got {value}"):
        check_targets(composed(word))
    for fit in ("optimizer.lr=1e-3", "trainer.limit_val_batches=2", "optimizer.fused=auto"):
        check_targets(composed(f"++{fit}"))


@pytest.mark.parametrize("name", TREE["sweep"])
def test_a_sweep_varies_keys_that_there_are(name: str) -> None:
    params = composed(f"sweep={name}").sweep.params
    for task in ("segmentation", "classification"):
        cfg = composed(f"task={task}")
        for key in params:
            assert key in TREE or OmegaConf.select(cfg, key, default=cfg) is not cfg, key
    for group in set(params) & set(TREE):
        assert {*re.split(r"[,\s]+", params[group])} <= {*TREE[group]}


def test_every_file_is_an_option() -> None:
    strays = {path.relative_to(CONF).parts[0] for path in CONF.rglob("*") if path.is_file()}
    assert strays - {*TREE, "config.yaml"} == set()
    assert not [path for path in CONF.rglob("*") if path.is_file() and path.suffix != ".yaml"]


def test_every_group_is_a_root_key_with_a_default_that_exists() -> None:
    roots = set(RunConfig.__dataclass_fields__)
    assert set(TREE) - {"experiment"} <= roots
    defaults: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    assert defaults["defaults"][:2] == ["run_config", "_self_"]
    for default in defaults["defaults"][2:]:
        [(group, name)] = default.items()
        assert name is None or name in TREE[group]


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda file: file.stem)
def test_nothing_of_a_machine_and_only_libraries_that_are_installed_with_us(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"[:,'\" ](/home|/root|/Users|/mnt|/tmp|[A-Z]:\\)", text)
    for target in re.findall(r"_target_: (\S+)", text):
        assert target.startswith(SHIPPED_LIBRARIES)
    lines = text.splitlines()
    packages = [number for number, line in enumerate(lines) if line.startswith("# @package")]
    assert packages in ([], [0]), "a comment above # @package disables it"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_how_to_run_it_what_it_takes_and_what_it_reaches(name: str) -> None:
    file = EXPERIMENTS[name]
    assert yaml_summary(file)
    run = header_field(file, "Run")
    assert run.startswith("python -m medlight ")
    assert f"experiment={name}" in run.split()
    assert re.search(r"\d+ (s|min|h)\b", header_field(file, "Takes"))
    assert re.search(r"\d", header_field(file, "Reaches"))
    assert composed(*run.split()[3:]).name == name


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_an_experiment_sets_fits_every_choice_of_that_group(name: str) -> None:
    """A key that only one model takes belongs into that model's yaml, or `model=` breaks."""
    body: Any = OmegaConf.to_container(OmegaConf.load(EXPERIMENTS[name]))
    for group in set(body) & set(TREE):
        for option in TREE[group]:
            check_targets(composed(f"experiment={name}", f"{group}={option}"))


def test_a_dataset_chooses_its_transforms_and_the_command_line_overrules_them() -> None:
    chosen = {name: composed(f"data={name}").transforms._target_ for name in ("mednist", "phantom")}
    assert len(set(chosen.values())) == 2
    assert composed("data=mednist", "transforms=volume").transforms._target_ == chosen["phantom"]
