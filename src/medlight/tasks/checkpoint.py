"""Write a checkpoint whole or not at all, read one, and notice a damaged one."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from packaging.version import Version
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from medlight.core.errors import DataError
from medlight.io.atomic import atomic_path

_VERSION = "pytorch-lightning_version"


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's access to checkpoints: whole on every file system, and compared with their
    checksums when they are read.

    Lightning's own are written to the system's temporary folder and moved, which is no single step
    from one file system to another.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        with atomic_path(Path(path)) as part, part.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        check_checksums(Path(path))
        try:
            held: dict[str, Any] = super().load_checkpoint(path, *args, **options)
        except Exception as error:
            raise _unreadable(path, error) from error
        _check_parts(path, held)
        held.setdefault(_VERSION, pl.__version__)  # Lightning asks for it
        return held


def check_checksums(path: Path) -> None:
    """Compare every part of a file of weights with its checksum, which torch does not.

    A file of torch's old kind, which has none, is left to torch.

    Raises:
        DataError: it is cut off or damaged; the message names it.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # whatever a changed header leads to
        raise _unreadable(path, error) from error
    if damaged is not None:
        raise DataError(
            f"{path}: the checkpoint is damaged: its checksum is not that of {damaged}; copy it "
            "again, or train again (overwrite=true)"
        )


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        DataError: it is cut off, damaged, or no checkpoint; the message names it.
    """
    check_checksums(path)
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _unreadable(path, error) from error
    _check_parts(path, held)
    return cast(dict[str, Any], held)


def _check_parts(path: str | Path, held: Any) -> None:
    """Refuse what is no checkpoint: of another program, or made up."""
    if not isinstance(held, dict):
        raise DataError(f"{path}: cannot read checkpoint (it holds no mapping)")
    try:
        known = {
            "state_dict": all(
                isinstance(name, str) and isinstance(weight, Tensor)
                for name, weight in held.get("state_dict", {}).items()
            ),
            "loops": isinstance(held.get("loops", {"fit_loop": {}})["fit_loop"], dict),
            "optimizer_states": all(
                {"state", "param_groups"} <= each.keys()
                for each in held.get("optimizer_states", [])
            ),
            "lr_schedulers": all(
                isinstance(each, dict) and each for each in held.get("lr_schedulers", [])
            ),
            "callbacks": all(isinstance(each, dict) for each in held.get("callbacks", {}).values()),
            _VERSION: Version(held.get(_VERSION, pl.__version__)) >= Version("2"),
            **{
                name: type(held.get(name, 0)) is int and held.get(name, 0) >= 0
                for name in ("epoch", "global_step")
            },
        }
        wrong = [name for name, right in known.items() if not right]
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        raise DataError(f"{path}: it is no checkpoint of a run ({error})") from error
    if wrong:
        raise DataError(f"{path}: it is no checkpoint of a run: its {wrong[0]} make no sense")


def check_weights(path: Path, held: Mapping[str, Any], module: nn.Module) -> None:
    """Check that a checkpoint holds the weights of a net, all of them.

    Args:
        path: of the checkpoint, for the message.
        held: its content.
        module: the task, with its net.

    Raises:
        DataError: it does not; the message names it.
    """
    if "state_dict" not in held:
        raise DataError(f"{path}: it holds no weights")
    saved, own = held["state_dict"], module.state_dict()
    wrong = [
        name
        for name in sorted({*saved, *own})
        if name not in saved or name not in own or saved[name].shape != own[name].shape
    ]
    if wrong:
        raise DataError(
            f"{path}: its weights are of another net ({wrong[0]}, {len(wrong)} tensors in all)"
        )


def _unreadable(path: str | Path, error: Exception) -> DataError:
    """Torch raises whatever its unpickler stumbles on, with a page of advice."""
    why = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(f"{path}: cannot read checkpoint ({why})")
