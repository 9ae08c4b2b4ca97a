"""What Hydra keeps below `hydra._internal`. Imported when called: `medlight --help` needs none."""

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher
    from omegaconf import DictConfig


def argument_parser() -> ArgumentParser:
    """Return the parser of Hydra's own options.

    `hydra._internal.utils.get_args_parser`: options and overrides may then come in any order,
    which `hydra.main` does not allow.
    """
    from hydra._internal.utils import get_args_parser

    return get_args_parser()


def config_callbacks(cfg: "DictConfig") -> Any:
    """Return the callbacks that `hydra.callbacks` names.

    `hydra._internal.callbacks.Callbacks`: a launcher is set up with one, and no public name makes
    it.
    """
    from hydra._internal.callbacks import Callbacks

    return Callbacks(cfg)


def instantiate_launcher(launcher: "DictConfig") -> "Launcher":
    """Make a launcher plugin, joblib's or Slurm's, from its configuration.

    `Plugins._instantiate`: the public `instantiate_launcher` also sets it up, with the
    configuration before its jobs are known.
    """
    from hydra.core.plugins import Plugins

    return cast("Launcher", Plugins.instance()._instantiate(launcher))
