"""`medlight check`: what it writes, how it ends, and what training refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from medlight.cli.options import conf_dir, groups
from medlight.cli.overrides import parse_verb
from medlight.core.grid import Grid
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.mednist import MedNISTDataModule
from medlight.io.nifti import read_nifti, write_nifti

TASK = "Task04_Hippocampus"
QUIET = ["hydra.run.dir=out", "job.num_processes=1"]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    DecathlonDataModule.fake(tmp_path / "data", cases=8)
    monkeypatch.setenv("MEDLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEDLIGHT_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / TASK


def test_job_options_need_no_prefix() -> None:
    tree = groups([conf_dir()])
    assert parse_verb(["check", "fix=true"], tree) == ["job=check", "job.fix=true"]
    assert parse_verb(["evaluate", "checkpoint=last"], tree)[1] == "job.checkpoint=last"
    assert parse_verb(["resume=x"], tree) == ["resume=x"]


def test_a_sound_data_set(run_cli, task: Path) -> None:
    code, out, err = run_cli("check", "data=decathlon", *QUIET)
    assert (code, err) == (0, "")
    assert "balance" in out
    report = json.loads(Path("out/check.json").read_text())
    assert report["counts"]["error"] == 0
    assert (report["cases"], report["files"]) == (8, 16)
    page = Path("out/check.html").read_text()
    assert "data:image/png;base64" not in page  # nothing to show: no case is in question
    assert not Path("out/exclude.txt").exists()
    assert Path("out/config.yaml").is_file()


def test_errors_end_with_one_line_and_what_to_type(run_cli, task: Path) -> None:
    (task / "labelsTr" / "hippocampus_003.nii.gz").write_bytes(b"damaged")
    path = task / "imagesTr" / "hippocampus_005.nii.gz"
    values, grid = read_nifti(path)
    values[0, 0, 0, 0] = np.nan
    write_nifti(path, values[0], grid)
    before = path.read_bytes()
    code, out, err = run_cli("check", "data=decathlon", "fix=true", *QUIET)
    assert code == 1
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "hippocampus_003.nii.gz" in err
    assert "data.exclude=" in err
    assert "check.html" in err
    assert "unreadable" in out
    assert Path("out/exclude.txt").read_text() == "hippocampus_003\nhippocampus_005\n"
    report = json.loads(Path("out/check.json").read_text())
    assert report["counts"]["error"] == 2
    assert [each["case"] for each in report["repairs"]] == ["hippocampus_005"]
    assert Path("out/repaired/imagesTr/hippocampus_005.nii.gz").is_file()
    assert path.read_bytes() == before
    code, _, err = run_cli("check", "data=decathlon", "data.exclude=out/exclude.txt", *QUIET)
    assert (code, err) == (0, "")


def test_training_refuses_before_it_builds_anything(run_cli, task: Path) -> None:
    mask = task / "labelsTr" / "hippocampus_003.nii.gz"
    write_nifti(mask, np.zeros((4, 5, 6), np.uint8), Grid((4, 5, 6)))
    (task / "imagesTr" / "hippocampus_005.nii.gz").unlink()
    code, _, err = run_cli("data=decathlon", "hydra.run.dir=out")
    assert code == 1
    assert err.count("\n") == 1
    assert "(1 more)" in err
    assert "hippocampus_003: image and mask differ in shapes" in err
    assert "medlight check" in err


def test_a_data_set_that_cannot_be_listed(run_cli, task: Path) -> None:
    (task / "dataset.json").write_text("{")
    code, _, err = run_cli("check", "data=decathlon", *QUIET)
    assert code == 1
    assert "dataset.json: cannot be read" in err
    report = json.loads(Path("out/check.json").read_text())
    assert [issue["kind"] for issue in report["issues"]] == ["index"]


def test_mednist_in_miniature(run_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MedNISTDataModule.fake(tmp_path / "data", cases=60)
    monkeypatch.setenv("MEDLIGHT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MEDLIGHT_CACHE", str(tmp_path / "cache"))
    code, out, _ = run_cli("check", "data=mednist", *QUIET)
    assert code == 0
    report = json.loads(Path("out/check.json").read_text())
    found = {issue["kind"]: issue for issue in report["issues"]}
    assert found["constant"]["cases"] == ["HeadCT/000000"]
    assert found["duplicates"]["groups"] == [["AbdomenCT/000000", "AbdomenCT/000100"]]
    assert {"constant", "duplicates"} <= set(out.split())
    page = Path("out/check.html").read_text()
    assert page.count("data:image/png;base64") >= 3


@pytest.mark.slow
def test_real_mednist(run_cli, real_data: Path, shared_cache: Path, monkeypatch) -> None:
    """The defects that everybody else found in it, too."""
    monkeypatch.setenv("MEDLIGHT_CACHE", str(shared_cache))
    code, _, err = run_cli("check", "data=mednist", "hydra.run.dir=out")
    assert (code, err) == (0, "")
    report = json.loads(Path("out/check.json").read_text())
    found = {issue["kind"]: issue for issue in report["issues"]}
    assert len(found["constant"]["cases"]) == 74
    assert {case.split("/")[0] for case in found["constant"]["cases"]} == {"HeadCT"}
    copies = found["duplicates"]["groups"]
    assert all(len({case.split("/")[0] for case in group}) == 1 for group in copies)
    assert found["duplicates"]["level"] == "warning"


def test_real_hippocampus(run_cli, real_data: Path, shared_cache: Path, monkeypatch) -> None:
    monkeypatch.setenv("MEDLIGHT_CACHE", str(shared_cache))
    code, _, err = run_cli("check", "data=decathlon", "hydra.run.dir=out")
    assert (code, err) == (0, "")
    report = json.loads(Path("out/check.json").read_text())
    found = {issue["kind"]: issue for issue in report["issues"]}
    assert found["dtype"]["level"] == found["scales"]["level"] == "warning"
    kinds = [issue["message"] for issue in report["issues"] if issue["kind"] == "dtype"]
    assert any("images are stored as different types: float32" in message for message in kinds)
