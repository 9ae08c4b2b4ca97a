"""From a configuration to objects: data, the net of a finished run, what the machine decides."""

import hashlib
import logging
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from medlight.cli.config import load_config, register
from medlight.cli.errors import explain_error
from medlight.cli.options import conf_dir, conf_dirs, groups
from medlight.cli.overrides import parse_verb
from medlight.cli.validate import check_targets
from medlight.core.data_spec import DataSpec
from medlight.core.errors import MALFORMED, ConfigError, DataError, MedlightError
from medlight.data.datamodule import DataModule
from medlight.inference.postprocess import load_candidate_means
from medlight.runs.directory import CONFIG_FILE, RunDirectory
from medlight.tasks.checkpoint import load_checkpoint
from medlight.tasks.trained_model import TrainedModel

log = logging.getLogger(__name__)

PRECISIONS = {"bf16": torch.bfloat16, "16": torch.float16}


def build_data(overrides: Sequence[str]) -> DataModule:
    """Build the data that `data=... data.root=...` name, without a run.

    Raises:
        ConfigError: an override is wrong; the message is that of a run.
    """
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            cfg = compose("config", parse_verb(overrides, groups(conf_dirs())))
        except Exception as error:
            line = explain_error(error, overrides, conf_dirs(), "config")
            raise ConfigError(line) if line else error from error
    check_targets(cfg.data, "data")
    return cast(DataModule, instantiate(cfg.data, _convert_="all"))


def load_run_data(run_dir: Path) -> DataModule | None:
    """The data a finished run was tested on; None where they, or its settings, are not here."""
    register()
    try:
        cfg = load_config(run_dir)
        _require(cfg, "data", run_dir)
        check_targets(cfg.data, "data")
        data = cast(DataModule, instantiate(cfg.data, _convert_="all"))
        return data if len(data.cases) else None
    except Exception as error:  # whatever a constructor says: the page can do without images
        if isinstance(error, InstantiationException) and error.__cause__:
            error = cast(Exception, error.__cause__)
        why = (str(error).splitlines() or [type(error).__name__])[0]
        log.warning("%s: no images in the page (%s)", run_dir, why)
        return None


def _require(cfg: DictConfig, group: str, run_dir: Path) -> None:
    if cfg[group] is None:
        raise ConfigError(f"{Path(run_dir) / CONFIG_FILE}: it has no {group}")


def load_trained(run_dir: Path, checkpoint: str, *, trainer: DictConfig) -> TrainedModel:
    """Build the net of a run from its own config, with the weights of a checkpoint.

    Args:
        checkpoint: "best", "last", or a path. A run without validation has no best: its last.
        trainer: says on what to compute (accelerator, precision).

    Raises:
        DataError: the checkpoint cannot be read, or lacks what its net was made for.
        DataNotFoundError: there is no checkpoint.
    """
    cfg = load_config(run_dir)
    _require(cfg, "task", run_dir)
    path = RunDirectory(run_dir).checkpoint(checkpoint)
    held = load_checkpoint(path)
    about = held.get("medlight")
    about = about if isinstance(about, Mapping) else {}
    spec = about.get("spec", about.get("facts"))  # "facts" in checkpoints before version 0.2
    if not isinstance(spec, Mapping) or "modality" not in spec:
        raise DataError(
            f"{path}: it does not say what images its net was made for; train again, or write a "
            f"new checkpoint with resume={shlex.quote(str(run_dir))}"
        )
    try:
        known = DataSpec.from_dict(cast(dict[str, Any], spec))
    except Exception as error:  # numbers and words of any type
        raise DataError(
            f"{path}: what it says of its images makes no sense ({error}); {_other(path)}"
        ) from error
    make = instantiate(cfg.task, _convert_="all")
    try:
        task = make(spec=known)
    except (RuntimeError, *MALFORMED) as error:
        if isinstance(error, MedlightError):
            raise
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: no net of {run_dir}/{CONFIG_FILE} takes its images ({why}); {_other(path)}"
        ) from error
    try:
        task.load_state_dict(held["state_dict"])
    except Exception as error:  # torch's and Lightning's, of weights of any kind
        why = " ".join(" ".join(str(error).splitlines()[:2]).split()) or type(error).__name__
        raise DataError(
            f"{path}: its weights are not those of the net in {run_dir}/{CONFIG_FILE} ({why}); "
            f"{_other(path)}"
        ) from error
    device = select_device(trainer)
    recipe = cfg.transforms or OmegaConf.create()
    return TrainedModel(
        name="/".join(Path(run_dir).resolve().parts[-2:]),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        task=task.eval().requires_grad_(False).to(device),
        transforms=instantiate(cfg.transforms, _convert_="all"),
        recipe=cast(Any, OmegaConf.to_container(recipe, resolve=True)),
        device=device,
        precision=PRECISIONS.get(str(trainer.precision).partition("-")[0]),
        candidate_means=load_candidate_means(run_dir),
    )


def _other(path: Path) -> str:
    """What to type in place of a checkpoint that cannot be used."""
    others = sorted(each.stem for each in path.parent.glob("*.ckpt") if each != path)
    if others:
        return f"there are others: checkpoint={'|'.join(others)}"
    return "copy the file again, or train again"


def select_device(trainer: DictConfig) -> torch.device:
    if trainer.accelerator != "cpu" and torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if trainer.accelerator == "mps" else "cpu")


def instantiate_group(group: DictConfig | None) -> list[Any]:
    """The objects of a group that maps names to them; empty where `~group` left it out."""
    return list((instantiate(group, _convert_="all") or {}).values())


def resolve_hardware(trainer: DictConfig) -> None:
    """Settle what only the machine can say, in place.

    Precision "auto" is bf16-mixed on GPUs and CPUs that compute in it, 16-mixed on older GPUs and
    32 on other CPUs, where bf16 would take 3-4 times as long. Batch-norm statistics are shared
    between processes on GPUs only: torch has no such layer for CPUs. "deterministic" is strict on
    CPUs; on GPUs, where some operations have no deterministic form, they are named instead.
    """
    cuda = trainer.accelerator != "cpu" and torch.cuda.is_available()
    if trainer.precision == "auto":
        trainer.precision = (
            "bf16-mixed" if computes_in_bf16(cuda=cuda) else "16-mixed" if cuda else "32-true"
        )
    if cuda and trainer.get("deterministic") is True:
        trainer.deterministic = "warn"
    if not cuda and trainer.get("sync_batchnorm"):
        trainer.sync_batchnorm = False


def computes_in_bf16(*, cuda: bool) -> bool:
    """Whether the device has instructions for bfloat16, so that it need not be emulated."""
    if cuda:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    tell: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    known = tell()  # nothing from an older torch
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
