"""From a run directory to a net that can predict; the data of the run are not touched."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from medlight.cli.config import load_config
from medlight.core.data_spec import DataSpec
from medlight.core.errors import DataError
from medlight.inference.postprocess import load_candidate_means
from medlight.runs.directory import RunDirectory
from medlight.tasks.trained_model import TrainedModel

PRECISIONS = {"bf16": torch.bfloat16, "16": torch.float16}


def load_trained(run_dir: Path, checkpoint: str, *, trainer: DictConfig) -> TrainedModel:
    """Build the net of a run from its own config, with the weights of a checkpoint.

    Args:
        checkpoint: "best", "last", or a path. A run without validation has no best: its last.
        trainer: says on what to compute (accelerator, precision).
    """
    cfg = load_config(run_dir)
    path = RunDirectory(run_dir).checkpoint(checkpoint)
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler stumbles on
        raise DataError(f"{path}: cannot read checkpoint ({error})") from error
    about = held.get("medlight", {})
    spec = about.get("spec", about.get("facts", {}))  # "facts" in checkpoints before version 0.2
    if "modality" not in spec:
        raise DataError(
            f"{path}: it does not say what images its net was made for; train again, or write a "
            f"new checkpoint with resume={run_dir}"
        )
    task = instantiate(cfg.task, _convert_="all")(spec=DataSpec.from_dict(spec))
    task.load_state_dict(held["state_dict"])
    device = select_device(trainer)
    return TrainedModel(
        name="/".join(Path(run_dir).resolve().parts[-2:]),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        task=task.eval().requires_grad_(False).to(device),
        transforms=instantiate(cfg.transforms, _convert_="all"),
        recipe=to_container(cfg.transforms),
        device=device,
        precision=PRECISIONS.get(str(trainer.precision).partition("-")[0]),
        candidate_means=load_candidate_means(run_dir),
    )


def select_device(trainer: DictConfig) -> torch.device:
    if trainer.accelerator != "cpu" and torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if trainer.accelerator == "mps" else "cpu")


def to_container(node: Any) -> dict[str, Any]:
    found: Any = OmegaConf.to_container(node, resolve=True) if node is not None else {}
    return dict(found)
