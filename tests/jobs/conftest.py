"""The program of an exported folder."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from medlight.jobs import export


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program of an exported folder, as a module."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, source in export.RUNNER.items():
        (tmp_path / name).write_text(Path(export.__file__).with_name(source).read_text())
    (tmp_path / "artifact.json").write_text(json.dumps({"input": {}}))
    spec = importlib.util.spec_from_file_location("artifact_run_copy", tmp_path / "run.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
