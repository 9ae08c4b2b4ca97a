"""The README's Python does what it says, on generated data."""

import re
import subprocess
import sys
from pathlib import Path

from medlight.datasets.decathlon import DecathlonDataModule

README = Path(__file__).parents[2] / "README.md"


def test_ten_lines_train_and_test_without_hydra(tmp_path: Path) -> None:
    [block] = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    lines = [line for line in block.splitlines() if line and "import" not in line]
    assert len(lines) <= 10
    assert 'root="data"' in block
    DecathlonDataModule.fake(tmp_path / "data", cases=10)
    short = re.sub(r"max_epochs=\d+", "max_epochs=1", block)
    done = subprocess.run(
        [sys.executable, "-c", short], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "dice" in done.stdout
    assert list(tmp_path.glob("outputs/*/cases.csv"))
