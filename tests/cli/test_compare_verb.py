"""`medlight compare` as a user types it, on the runs on record."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from medlight.cli.main import main

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "experiments" / "seg_unet3d"


def test_two_recipes_give_tables_csv_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [str(RUNS), str(RUNS.with_name("seg_unet3d_quick"))]
    assert main(["compare", *both, "--n-resamples", "500", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for word in ("Dice", "Anterior", "against", "Cost", "4 of 5", "Results saved to"):
        assert word in said
    assert "IoU" not in said
    whole = ["--metric", "all", "--n-resamples", "100", "--output", str(tmp_path / "all")]
    assert main(["compare", *both, *whole]) == 0
    said = capsys.readouterr().out
    for word in ("IoU", "What differs", "changed most"):
        assert word in said
    lines = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    assert {line["class"] for line in lines} == {"Anterior", "Posterior", "all"}
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert found["cases"] == found["patients"] == 42
    assert len(found["scores"]) == len(lines)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nowhere"], "does not exist"),
        ([], "required"),
        ([str(RUNS), "--metric", "dise"], "--metric dise"),
        ([str(RUNS), "--reference", "other"], "not one of the runs"),
        ([str(RUNS), "--fold", "4"], "the runs are of fold 0"),
        ([str(RUNS), "--n-resamples", "3"], "at least 100"),
        ([str(RUNS), str(ROOT / "experiments" / "cls_densenet")], "cannot be compared"),
    ],
)
def test_mistakes_are_told_in_a_line(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *words]) == 1
    said = capsys.readouterr().err
    assert reason in said
    assert len(said.splitlines()) == 1


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys; from medlight.cli.main import main\n"
        "try: main(['compare', '--help'])\n"
        "except SystemExit: pass\n"
        "print({'numpy', 'scipy', 'torch', 'yaml', 'rich', 'wandb'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--reference" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"
