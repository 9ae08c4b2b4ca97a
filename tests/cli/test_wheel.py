"""What users install: the wheel, in an empty folder, runs the demo."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from medlight.cli.options import conf_dir

ROOT = conf_dir().parent


def run(*words: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, env={**os.environ, **environ},
        capture_output=True, text=True, timeout=900, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", out, ".", cwd=ROOT)
    [file] = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    run("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site, wheel, cwd=site)
    return site


def test_the_wheel_holds_the_code_the_configs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if ".dist-info/" not in name}
    code = {path.relative_to(ROOT / "src").as_posix()
            for path in (ROOT / "src" / "medlight").rglob("*")
            if path.is_file() and path.suffix != ".pyc"}  # fmt: skip
    conf = {"medlight/" + path.relative_to(ROOT).as_posix() for path in conf_dir().rglob("*.yaml")}
    assert packed == code | conf
    assert any(name.endswith("/LICENSE") for name in names)


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    environ = {"PYTHONPATH": str(installed), "MEDLIGHT_CACHE": str(tmp_path / "cache")}
    empty = tmp_path / "empty"
    empty.mkdir()
    where = run("-c", "import medlight; print(medlight.__file__)", cwd=empty, **environ)
    assert where.stdout.startswith(str(installed))

    demo = ["experiment=seg_unet3d_quick", "data=phantom", "trainer.max_epochs=4"]
    done = run("-m", "medlight", *demo, cwd=empty, **environ)
    [run_dir] = (empty / "outputs" / "seg_unet3d_quick").iterdir()
    assert "Dice" in done.stdout
    assert f"outputs/seg_unet3d_quick/{run_dir.name}" in done.stdout.replace("\n", "")
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["test/dice"] > 0.85
    assert "Traceback" not in done.stderr
    assert str(tmp_path) not in (run_dir / "config.yaml").read_text()
