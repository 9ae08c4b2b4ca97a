"""The how-tos, followed word by word in an empty folder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
QUICK = [
    "trainer.max_epochs=1",
    "callbacks=default",
    "data.epoch_samples=4",
    "logger=csv",
    "hydra.run.dir=out",
    "paths.cache=cache",
]


def follow(page: str, folder: Path) -> list[str]:
    """Write the files a page shows, and return its commands."""
    commands = []
    for language, block in re.findall(r"```(\w+)\n(.*?)```", (DOCS / page).read_text(), re.S):
        if language == "bash":
            commands += block.splitlines()
        else:
            path = folder / block.splitlines()[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.split("\n", 1)[1] if language == "yaml" else block)
    return commands


def run(command: str, folder: Path) -> None:
    program, *words = command.split()
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *words, *QUICK], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "out" / "metrics.json").is_file()


def test_a_new_dataset_is_one_file_and_one_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [command] = follow("new_dataset.md", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    from ultrasound import UltrasoundDataModule

    UltrasoundDataModule.fake(tmp_path / "ultrasound_images", cases=24)
    run(f"{command} data.folds=3", tmp_path)


def test_a_new_model_is_one_yaml(tmp_path: Path) -> None:
    [command] = follow("new_model.md", tmp_path)
    run(command, tmp_path)


@pytest.mark.parametrize("page", ["transforms.md", "augmentation.md"])
def test_a_new_preset_or_step_is_one_file_and_one_yaml(tmp_path: Path, page: str) -> None:
    """The other commands of these pages compose: see tests/cli/test_shown_commands.py."""
    commands = follow(page, tmp_path)
    [own] = [command for command in commands if re.search(r"=(robust|bias)\b", command)]
    run(own, tmp_path)
