"""The how-tos, followed word by word in an empty folder."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medlight.transforms.monai_steps import KIND

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


@pytest.fixture
def run(
    run_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Path]]:
    """Run a command of a page, quickly; gives the path of its scores."""
    before = {*sys.modules}
    monkeypatch.syspath_prepend(tmp_path)

    def enter(command: str) -> Path:
        python, flag, medlight, *words = command.split()
        assert (python, flag, medlight) == ("python", "-m", "medlight")
        answer = run_cli(*words, *QUICK)
        assert answer.code == 0, answer.err
        return tmp_path / "out" / "metrics.json"

    yield enter
    for name in {*sys.modules} - before:  # the next test has a folder of its own
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def test_a_new_dataset_is_one_file_and_one_yaml(tmp_path: Path, run: Callable[[str], Path]) -> None:
    [command] = follow("new_dataset.md", tmp_path)
    from ultrasound import UltrasoundDataModule

    UltrasoundDataModule.fake(tmp_path / "ultrasound_images", cases=24)
    assert run(f"{command} data.folds=3").is_file()


def test_a_new_model_is_one_yaml(tmp_path: Path, run: Callable[[str], Path]) -> None:
    [command] = follow("new_model.md", tmp_path)
    assert run(command).is_file()


@pytest.mark.parametrize(
    "page", ["transforms.md", pytest.param("augmentation.md", marks=pytest.mark.slow)]
)
def test_a_new_preset_or_step_is_one_file_and_one_yaml(
    tmp_path: Path, page: str, run: Callable[[str], Path]
) -> None:
    """The other commands of these pages compose: see tests/cli/test_shown_commands.py."""
    commands = follow(page, tmp_path)
    [own] = [command for command in commands if re.search(r"=(robust|bias)\b", command)]
    assert run(own).is_file()


@pytest.mark.parametrize(
    "name",
    [
        "chest_film",
        pytest.param("ct_like_nnunet", marks=pytest.mark.slow),
        pytest.param("brain_mr", marks=pytest.mark.slow),
    ],
)
def test_monais_steps_train_and_predict(
    tmp_path: Path, name: str, run: Callable[[str], Path], run_cli: Callable[..., Any]
) -> None:
    [command] = [each for each in follow("transforms.md", tmp_path) if f"={name}" in each]
    assert run(command).is_file()
    [images] = [
        *tmp_path.glob("cache/phantoms/*/*/imagesTr"),
        *tmp_path.glob("cache/phantoms/Phantom2D*/*"),
    ][:1]
    answer = run_cli("predict", "run=out", f"input={images}", "output=predicted")
    assert answer.code == 0, answer.err
    answer = run_cli("export", "run=out", "format=torch_export")
    assert answer.code == 1
    assert "cannot be described" in answer.err


@pytest.mark.parametrize("number", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_volumes_are_shown_slice_by_slice(
    tmp_path: Path, number: int, run: Callable[[str], Path], run_cli: Callable[..., Any]
) -> None:
    """From training to comparing: masks of volumes, or a row for each slice."""
    commands = follow("slices.md", tmp_path)
    assert len(commands) == 2
    assert run(f"{commands[number]} data.n_cases=10").is_file()
    rows = (tmp_path / "out/cases.csv").read_text().splitlines()
    [images] = tmp_path.glob("cache/phantoms/*/*/imagesTr")
    for words in (
        ["resume=out", "trainer.max_epochs=2"],
        ["evaluate", "run=out"],
        ["predict", "run=out", f"input={images}", "output=predicted"],
        ["compare", "out", "out", "--no-images"],
    ):
        answer = run_cli(*words)
        assert answer.code == 0, answer.err
    if number == 0:
        tested = sorted((tmp_path / "out/predictions").iterdir())
        assert len(rows) == 1 + 3 * len(tested)
        for mask in tested:
            one, other = (
                np.asarray(nib.load(p).dataobj) for p in (mask, tmp_path / "predicted" / mask.name)
            )
            np.testing.assert_array_equal(one, other)
    else:
        tests = [row.split(",")[0] for row in rows[1:]]
        predicted = (tmp_path / "predicted/predictions.csv").read_text().splitlines()[1:]
        named = {f"{c}/{int(s):03d}" for c, s, *_ in (row.split(",") for row in predicted)}
        assert {*tests} < named
        assert len(tests) == len({*tests})


def test_the_page_lists_the_steps_that_may_be_named() -> None:
    page = (DOCS / "transforms.md").read_text()
    listed = page.partition("The steps that may be named: ")[2].partition("\n\n")[0]
    assert re.findall(r"`(\w+)`", listed) == list(KIND)
