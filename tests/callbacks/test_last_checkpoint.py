"""The last checkpoint is written by one process, whatever the others do meanwhile."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from medlight.callbacks.last_checkpoint import LastCheckpoint


@pytest.mark.parametrize("writes", [True, False])
def test_only_the_process_that_writes_touches_the_part(tmp_path: Path, writes: bool) -> None:
    """Another one returns from saving while the first is about to rename what it wrote."""
    part = tmp_path / "last.part"
    part.write_text("of the first process")
    trainer = SimpleNamespace(is_global_zero=writes, save_checkpoint=lambda path: None)
    last = LastCheckpoint(dirpath=str(tmp_path))
    last._save(trainer, (1, 0))  # type: ignore[arg-type]
    assert part.exists() != writes
    assert (tmp_path / "last.ckpt").exists() == writes
