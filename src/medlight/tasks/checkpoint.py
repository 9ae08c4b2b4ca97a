"""Read a checkpoint, and notice a damaged one."""

import zipfile
from pathlib import Path
from typing import Any, cast

import torch

from medlight.core.errors import DataError


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Every part of the file carries a checksum, which torch does not compare.

    Raises:
        DataError: it is cut off, damaged, or no checkpoint; the message names it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot read checkpoint ({error})") from error
    if damaged is not None:
        raise DataError(
            f"{path}: the checkpoint is damaged: its checksum is not that of {damaged}; copy it "
            "again, or train again (overwrite=true)"
        )
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler stumbles on
        raise DataError(f"{path}: cannot read checkpoint ({error})") from error
    if not isinstance(held, dict):
        raise DataError(f"{path}: cannot read checkpoint (it holds no mapping)")
    return cast(dict[str, Any], held)
