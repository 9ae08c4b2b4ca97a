"""A checkpoint is written whole or not at all, and a damaged one is noticed by whoever reads it."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from medlight.core.errors import ConfigError, DataError
from medlight.tasks.checkpoint import CheckpointFiles, load_checkpoint
from medlight.tasks.init_weights import load_initial_weights

READERS: dict[str, Callable[[Path], Any]] = {
    "predict, resume": load_checkpoint,
    "evaluate, test": lambda path: CheckpointFiles().load_checkpoint(path),
    "init": lambda path: load_initial_weights(nn.Linear(40, 40), path),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "best.ckpt"
    CheckpointFiles().save_checkpoint({"state_dict": nn.Linear(40, 40).state_dict()}, path)
    return path


@pytest.mark.parametrize("reader", READERS)
def test_a_flipped_bit_of_a_weight_is_found(reader: str, saved: Path) -> None:
    """init= and evaluate took such weights as they were."""
    READERS[reader](saved)
    weight = load_checkpoint(saved)["state_dict"]["weight"].numpy().tobytes()
    content = saved.read_bytes()
    saved.write_bytes(_flipped(content, content.find(weight) + 999))
    with pytest.raises(DataError, match=r"best\.ckpt: the checkpoint is damaged"):
        READERS[reader](saved)


@pytest.mark.parametrize("reader", READERS)
def test_no_changed_byte_ends_in_a_traceback(reader: str, saved: Path) -> None:
    content = saved.read_bytes()
    whole = load_checkpoint(saved)["state_dict"]
    for place in range(3, len(content), 211):
        for changed in (content[:place], _flipped(content, place)):
            saved.write_bytes(changed)
            found = None
            with suppress(DataError, ConfigError):
                found = READERS[reader](saved)
            if isinstance(found, dict):
                assert all(torch.equal(found["state_dict"][k], whole[k]) for k in whole)


def _flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 0b100
    return bytes(changed)


def test_what_cannot_be_written_leaves_the_old_one_whole(saved: Path) -> None:
    """Lightning wrote to the temporary folder, and moved the file across file systems."""
    before = saved.read_bytes()
    with pytest.raises(Exception, match=r"pickle|local object"):
        CheckpointFiles().save_checkpoint({"no": lambda: None, "x": torch.zeros(9)}, saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["best.ckpt"]


def test_a_checkpoint_takes_one_step_in_its_own_folder(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Path, Path]] = []
    replace = os.replace
    monkeypatch.setattr(
        "medlight.io.atomic.os.replace", lambda a, b: (seen.append((a, b)), replace(a, b))
    )
    CheckpointFiles().save_checkpoint({"x": torch.ones(1)}, saved)
    [(part, whole)] = seen
    assert (part.parent, whole) == (saved.parent, saved)
    assert load_checkpoint(saved)["x"] == 1
