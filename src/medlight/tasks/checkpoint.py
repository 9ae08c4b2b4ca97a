"""Write a checkpoint whole or not at all, read one, and notice a damaged one."""

import os
import zipfile
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from medlight.core.errors import DataError
from medlight.io.atomic import atomic_path


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
            return super().load_checkpoint(path, *args, **options)
        except Exception as error:
            raise _unreadable(path, error) from error


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
    if not isinstance(held, dict):
        raise DataError(f"{path}: cannot read checkpoint (it holds no mapping)")
    return cast(dict[str, Any], held)


def _unreadable(path: str | Path, error: Exception) -> DataError:
    """Torch raises whatever its unpickler stumbles on, with a page of advice."""
    why = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(f"{path}: cannot read checkpoint ({why})")
