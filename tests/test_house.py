"""Laws of the house: lengths, floors, names, pins."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from medlight import __version__
from medlight.runs import directory

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
TEXTS = sorted(
    path
    for folder in ("src", "tests", "benchmarks", "conf", "docs", "experiments", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".yaml", ".md", ".json", ".csv", ".toml", ""} and path.is_file()
) + sorted(path for path in ROOT.glob("*") if path.is_file() and path.name != ".git")
MOST_LINES = 300
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
)


def normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def test_files_stay_short_enough_to_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_dumping_grounds() -> None:
    names = {path.stem for path in SOURCES} | {path.parent.name for path in SOURCES}
    assert names & {"utils", "util", "helpers", "helper", "common", "misc"} == set()


def test_imports_go_down_only() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-logo"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_lightning_is_imported_under_one_name() -> None:
    pattern = re.compile(r"^\s*(import|from) lightning\b", re.MULTILINE)
    assert [path for path in SOURCES if pattern.search(path.read_text())] == []


def test_no_property_prepares_data() -> None:
    """What may take hours is called by name; see `DataModule.setup`."""
    slow = {"open_cases", "prepare", "setup", "load_into_memory", "_dataset", "CaseDataset"}
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            marks = {ast.unparse(mark) for mark in getattr(node, "decorator_list", [])}
            if marks & {"property", "cached_property"}:
                calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
                names = {ast.unparse(call).rpartition(".")[2] for call in calls}
                found += [f"{path.name}: {node.name} calls {name}" for name in names & slow]  # type: ignore[attr-defined]
    assert found == []


def test_names_of_run_files_stand_in_one_place() -> None:
    """Outside runs/, and the name of the configuration that is shipped, they are imported."""
    names = {
        value
        for key, value in vars(directory).items()
        if key.endswith(("_FILE", "_PICTURE")) and isinstance(value, str)
    }
    found = []
    for path in SOURCES:
        inner = path.relative_to(ROOT).as_posix()
        if inner.startswith("src/") and not inner.startswith("src/medlight/runs/"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and node.value in names:
                    found.append(f"{inner}: {node.value}")
    assert found == ["src/medlight/cli/config.py: config.yaml"]


@pytest.mark.parametrize("path", [path for path in SOURCES if "src" in path.parts], ids=str)
def test_constructors_are_the_schema(path: Path) -> None:
    """`**kwargs` in a constructor would swallow a misspelt key of the configuration."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            assert node.args.kwarg is None, f"{path}:{node.lineno}"


def test_no_path_of_any_machine() -> None:
    absolute = re.compile(r"(?<![\w.}~>])/(home|root|Users|work)/\w")
    here = [str(ROOT), str(Path.home()) + "/"]
    found = []
    for path in TEXTS:
        text = path.read_text(encoding="utf-8", errors="ignore")
        if absolute.search(text) or any(place in text for place in here):
            found.append(str(path.relative_to(ROOT)))
    assert found == []


def test_every_dependency_is_pinned_for_any_machine() -> None:
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *extras["dev"], *extras["oracles"]]
    names = {normal(re.match(r"[\w.-]+", line)[0]) for line in lines}
    pinned = {normal(name) for name in PINS}
    assert names - pinned == set()
    assert all(re.fullmatch(r"[\w.]+", version) for version in PINS.values()), "no local tags"
    assert "torchvision" not in pinned, "it has no CPU build, and breaks what imports it"


def test_every_dependency_has_a_lower_bound() -> None:
    unbounded = [line for line in PROJECT["dependencies"] if ">=" not in line]
    assert unbounded == []


def test_one_version() -> None:
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"\[({__version__}|Unreleased)\]", (ROOT / "CHANGELOG.md").read_text())


def test_only_tasks_know_kinds_of_task() -> None:
    """Others ask the outcome of a task, or a property of the labels, so that new kinds fit in."""
    asked = re.compile(r"\b(labels|spec|outcome)\.kind (==|!=|in|not in) |isinstance\([^()]*Task\b")
    found = {
        str(path.relative_to(ROOT)): line
        for path in (ROOT / "src/medlight").rglob("*.py")
        for line in path.read_text().splitlines()
        if asked.search(line)
    }
    assert {name for name in found if "/tasks/" not in name} == set()
    assert found  # tasks say themselves which labels they can learn
