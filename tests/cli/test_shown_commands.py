"""Every command that README.md and docs/ show composes, with the files their pages show."""

import re
import shlex
from pathlib import Path

import pytest

from medlight.cli import compare
from medlight.cli.compare import _SUBCOMMANDS as VERBS
from medlight.cli.dataset import VERB, _parser
from medlight.cli.options import conf_dir
from medlight.cli.overrides import is_sweep
from medlight.sweep.command import LAUNCHER_PACKAGES, is_installed

ROOT = conf_dir().parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"```(\w+)[^\n]*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The words after `medlight` of every shown command."""
    found = []
    for language, block in blocks(page):
        if language not in ("bash", "sh", "console"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.lstrip("$ "), comments=True)
            while words and re.fullmatch(r"\w+=\S*", words[0]):  # VARIABLE=value in front
                words.pop(0)
            if words[:1] == ["medlight"]:
                found.append(words[1:])
            elif words[1:3] == ["-m", "medlight"]:
                found.append(words[3:])
    return found


def write_shown_files(page: Path) -> None:
    """A yaml or Python block whose first line is `# path` is a file of the reader's."""
    for language, block in blocks(page):
        name = block.partition("\n")[0].removeprefix("# ").strip()
        if language in ("yaml", "python") and re.fullmatch(r"[\w./-]+\.(yaml|py)", name):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(block.partition("\n")[2], encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_shown_commands_compose(run_cli, page: Path) -> None:
    write_shown_files(page)
    Path("run").mkdir()
    Path("run/config.yaml").write_text(run_cli("--cfg", "job", "paths.run_dir=run").out)
    for words in commands(page):
        plain = [re.sub(r"^(run|resume)=.*", r"\1=run", word) for word in words if word != "-m"]
        if {"--help", "--version", "--info", "-sc"} & {*plain} or not plain:
            continue
        if plain[:1] == [VERB]:
            _parser().parse_known_args(plain[1:])
            continue
        if plain[:1] == [compare.VERB]:
            known = run_cli(*[w for w in plain[:2] if w in (compare.VERB, *VERBS)], "--help").out
            assert all(word in known for word in plain if word.startswith("--")), words
            continue
        if is_sweep(plain, multirun="-m" in words):  # one value of each is as good as all of them
            plain = [re.sub(r"=([^\[(',]+),.*", r"=\1", word) for word in plain]
            plain = [word for word in plain if not re.search(r"=(tag|interval|range)\(", word)]
        extra = LAUNCHER_PACKAGES.get(next((w[9:] for w in plain if w.startswith("launcher=")), ""))
        if extra and not is_installed(extra):
            continue
        shown = [word for word in plain if word not in ("--cfg", "job")]
        code, _, err = run_cli("--cfg", "job", *shown)
        assert code == 0, f"{page.name}: medlight {' '.join(words)}\n{err}"


def test_the_readme_shows_the_door() -> None:
    assert commands(ROOT / "README.md")
