"""The root of a run's configuration, and how it is saved so that it travels."""

import os
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from medlight.cli.distributed import run_stamp
from medlight.cli.options import conf_dir, conf_dirs
from medlight.cli.trust import check_trusted
from medlight.core.errors import ConfigError
from medlight.runs.config_keys import Role, key_role
from medlight.runs.directory import CONFIG_FILE, read_yaml_text
from medlight.runs.files import write_text
from medlight.runs.private import hide_words
from medlight.runs.renames import rename_config

_RUN_ONLY_RESOLVER = re.compile(r"\$\{(?!oc\.env:)[\w.]+:")
"""A resolver whose answer holds for this run only, such as `${hydra:...}` or `${now:...}`."""


@dataclass
class RunConfig:
    """Every key that may stand at the root. Below it, the constructors are the schema."""

    name: Any = "medlight"
    seed: int = 0
    metric: str = "val/dice"
    mode: str = "max"
    resume: Any = None
    overwrite: bool = False
    run: Any = None
    group: Any = None
    tags: Any = field(default_factory=list)
    deterministic: bool = False
    init: Any = None
    compile: bool = False
    gradient_checkpointing: bool = False

    job: Any = None
    paths: Any = None
    data: Any = None
    transforms: Any = None
    augment: Any = None
    store: Any = None
    task: Any = None
    model: Any = None
    loss: Any = None
    optimizer: Any = None
    schedule: Any = None
    inference: Any = None
    trainer: Any = None
    callbacks: Any = None
    logger: Any = None
    sweep: Any = None
    launcher: Any = None


NAMES: dict[str, Any] = {
    "name": str, "group": str | None, "tags": Sequence[str], "init": str | None,
    "resume": str | None, "run": str | Sequence[str] | None,
}  # fmt: skip
"""What the names of the root must be: a schema of OmegaConf would make "12" of YAML's 1_2."""
GROUPS = (
    "job", "paths", "data", "transforms", "augment", "store", "task", "model", "loss", "optimizer",
    "schedule", "inference", "trainer", "callbacks", "logger",
)  # fmt: skip
"""Keys of the root that hold mappings."""


class UserSearchPath(SearchPathPlugin):
    """Lets the user's own folders add options to ours, and replace them."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in conf_dirs()[:-1]:
            search_path.prepend(provider="user", path=f"file://{folder}", anchor="main")


@lru_cache(maxsize=1)
def run_token() -> str:
    """Four characters that keep apart two runs started in the same second."""
    return secrets.token_hex(2)


def override_suffix() -> str:
    """Give the overrides that change what this run computes, for its name in W&B.

    Returns:
        Each with a space in front; empty if there are none.
    """
    if not HydraConfig.initialized():
        return ""
    words = [str(word).lstrip("+~") for word in HydraConfig.get().overrides.task]
    told = (Role.REPEAT, Role.ARITHMETIC)
    kept = [w for w in words if "/" not in w and key_role(w.partition("=")[0]) in told]
    return "".join(f" {word}" for word in hide_words(kept))


def resolve_saved_config(run_dir: Path) -> dict[str, Any]:
    """The saved config of a run with its references followed, but no path of this machine.

    What comes from the environment, and every path, stays as it is written.
    """
    saved = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(run_dir / CONFIG_FILE)))
    return resolve_portable_config(rename_config(saved))


def resolve_portable_config(portable: dict[str, Any]) -> dict[str, Any]:
    """The same of a config that has not been saved yet; see `portable_config`."""
    raw = dict(portable)
    own = raw.pop("paths", None)
    quoted = _escape(raw, lambda text: "oc.env" in text or "${paths." in text)
    whole = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(quoted), resolve=True))
    return whole | {"paths": own}


def _escape(node: Any, outer: Callable[[str], bool]) -> Any:
    """Text that `outer` says must not be followed, escaped for OmegaConf."""
    if isinstance(node, dict):
        return {key: _escape(value, outer) for key, value in node.items()}
    if isinstance(node, list):
        return [_escape(value, outer) for value in node]
    return node.replace("${", r"\${") if isinstance(node, str) and outer(node) else node


def register() -> None:
    """Make Hydra know our schema, our resolver and the user's folder."""
    ConfigStore.instance().store("run_config", RunConfig)
    OmegaConf.register_new_resolver("medlight.token", run_token, replace=True)
    OmegaConf.register_new_resolver("medlight.stamp", lambda: run_stamp(run_token()), replace=True)
    OmegaConf.register_new_resolver("medlight.overrides", override_suffix, replace=True)
    Plugins.instance().register(UserSearchPath)


def save_config(cfg: DictConfig, path: Path) -> None:
    """Write `cfg` so that it stands alone; see `portable_config`."""
    save_portable_config(portable_config(cfg, path.parent), path)


def save_portable_config(portable: dict[str, Any], path: Path) -> None:
    """Write what `portable_config` gave, whole or not at all."""
    write_text(path, OmegaConf.to_yaml(OmegaConf.create(portable)))


def portable_config(cfg: DictConfig, run_dir: Path) -> dict[str, Any]:
    """Give `cfg` as plain data without a path that holds on this machine only.

    `${oc.env:...}` stays as written, and so do references within the config: what is overridden
    in a later run then reaches all who refer to it. Absolute paths are told from the run
    directory, $MEDLIGHT_DATA, the working directory or the home.
    """
    cfg = cfg.copy()
    if isinstance(cfg.paths, DictConfig) and "run_dir" in cfg.paths:
        cfg.paths.run_dir = os.path.relpath(run_dir)  # `load_config` knows better
    return cast(dict[str, Any], _portable(cfg, Path(os.path.abspath(run_dir))))


def load_config(run_dir: str | Path) -> DictConfig:
    """Load the configuration of a finished or interrupted run, wherever its directory is now.

    Raises:
        ConfigError: the directory is not that of a run, or its configuration names what is not
            trusted; see `cli.trust`.
    """
    file = Path(run_dir).expanduser() / CONFIG_FILE
    if not file.is_file():
        what = "holds no config.yaml" if file.parent.is_dir() else "does not exist"
        raise ConfigError(f"{run_dir} is not a run directory: it {what}")
    try:
        saved = OmegaConf.to_container(OmegaConf.create(read_yaml_text(file)))
        if not isinstance(saved, dict):
            raise ValueError("it holds no mapping")
        renamed = rename_config(cast(dict[str, Any], saved))
        check_trusted(renamed, file)
        root = OmegaConf.structured(RunConfig)
        cfg = cast(DictConfig, OmegaConf.merge(root, OmegaConf.create(renamed)))
    except ConfigError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, AssertionError, RecursionError,
            YAMLError, OmegaConfBaseException) as error:  # fmt: skip
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{file}: cannot be read ({why}); take the file from a copy of the run, or train again"
        ) from error
    for group in GROUPS:
        if not isinstance(cfg[group], DictConfig | None):
            raise ConfigError(f"{file}: {group} must be a mapping, got {cfg[group]}")
    if isinstance(cfg.paths, DictConfig) and "run_dir" in cfg.paths:
        cfg.paths.run_dir = str(file.parent)
    return cfg


def shipped_hydra_settings() -> dict[str, Any]:
    """The `hydra:` block of our config.yaml."""
    cfg = cast(DictConfig, OmegaConf.load(conf_dir() / "config.yaml"))
    return cast(dict[str, Any], OmegaConf.to_container(cfg.hydra))


def _portable(node: DictConfig | ListConfig, run_dir: Path) -> Any:
    raw = cast(Any, OmegaConf.to_container(node, resolve=False))
    pairs = raw.items() if isinstance(raw, dict) else enumerate(raw)
    told = {key: _portable_value(node, key, text, run_dir) for key, text in pairs}
    return told if isinstance(raw, dict) else list(told.values())


def _portable_value(node: Any, key: Any, text: Any, run_dir: Path) -> Any:
    if isinstance(text, str) and (
        text == "???" or ("${" in text and not _RUN_ONLY_RESOLVER.search(text))
    ):
        return text
    value = node[key]
    if isinstance(value, DictConfig | ListConfig):
        return _portable(value, run_dir)
    return _relocated(str(value), run_dir) if isinstance(value, str | Path) else value


def _relocated(text: str, run_dir: Path) -> str:
    if not os.path.isabs(text):
        return text
    anchors = {"${paths.run_dir}": str(run_dir)}
    if data := os.environ.get("MEDLIGHT_DATA"):
        anchors["${oc.env:MEDLIGHT_DATA}"] = os.path.abspath(data)
    anchors["."] = os.getcwd()
    anchors["${oc.env:HOME}"] = str(Path.home())
    for name, folder in anchors.items():
        if Path(text).is_relative_to(folder):
            inner = os.path.relpath(text, folder)
            return name if inner == "." else inner if name == "." else f"{name}/{inner}"
    return os.path.relpath(text)
