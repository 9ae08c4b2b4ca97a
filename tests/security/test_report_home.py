"""Nothing that medlight imports reports to its maker."""

import ast
from pathlib import Path

import pytest

import medlight

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
