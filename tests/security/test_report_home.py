"""Nothing that medlight imports reports to its maker."""

import ast
import os
from pathlib import Path

import pytest

import medlight
from medlight.core.errors import MissingExtraError
from medlight.loggers import local

SOURCES = sorted(Path(medlight.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize(
    "file", [f for f in SOURCES if "import onnxruntime" in f.read_text()], ids=lambda f: f.name
)
def test_onnxruntime_is_silenced_before_its_import(file: Path) -> None:
    tree = ast.parse(file.read_text())
    lines = {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and "ORT_DISABLE_TELEMETRY" in ast.unparse(node)
    }
    imports = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) and node.names[0].name == "onnxruntime"
    ]
    assert imports
    assert all(line - 1 in lines for line in imports)


def test_mlflow_is_silenced_before_its_import(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    seen: list[str | None] = []

    def asked(*_: str) -> None:
        seen.append(os.environ.get("MLFLOW_DISABLE_TELEMETRY"))
        raise MissingExtraError("enough")

    monkeypatch.setattr(local, "require_extra", asked)
    with pytest.raises(MissingExtraError):
        local.MLflow(run_dir=tmp_path)
    assert seen == ["true"]
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
