"""One door: verbs, help, completion, and what must not be imported on the way."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from medlight import __version__
from medlight.cli.config import run_token
from medlight.cli.options import conf_dir, conf_dirs, groups, verbs, yaml_summary
from medlight.cli.overrides import parse_verb
from medlight.core.errors import ConfigError

SLOW = ("torch", "pytorch_lightning", "monai", "wandb", "medlight.data", "medlight.tasks")
TREE = groups([conf_dir()])


@pytest.mark.parametrize(
    "words",
    [["--help"], [], ["--version"], ["--cfg", "job"], ["--info", "searchpath"],
     ["-sc", "install=bash"], ["-sc", "query=bash"], ["evaluat"], ["modl=x"]],
    ids=" ".join,
)  # fmt: skip
def test_answers_without_importing_what_is_slow(words: list[str]) -> None:
    code = (
        "import sys; from medlight.cli.main import main\n"
        f"sys.argv = ['medlight', *{words}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {SLOW} if name in sys.modules], file=sys.stderr)"
    )
    environ = {**os.environ, "COMP_LINE": "medlight mod"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_importing_medlight_imports_nothing_slow() -> None:
    code = f"import sys, medlight; print([name for name in {SLOW} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_is_one_screen_that_names_all_there_is(run_cli) -> None:
    code, out, err = run_cli("--help")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert len(out.splitlines()) < 80
    for group, options in TREE.items():
        for name in options:
            if name != "shared":
                assert re.search(rf"\b{name}\b", out), f"{group}={name} is not in --help"
    assert run_cli() == (code, out, err)
    assert run_cli("--version").out == f"medlight {__version__}\n"


@pytest.mark.parametrize("verb", verbs(TREE))
def test_the_help_of_a_verb_names_its_settings(verb: str, run_cli) -> None:
    out = run_cli(verb, "--help").out
    assert yaml_summary(TREE["job"][verb]).split(":")[0] in out
    for file in (file for name, file in TREE["job"].items() if name.startswith(verb)):
        for key, value in yaml.safe_load(file.read_text()).items():
            if not key.startswith("_") and not str(value).startswith("${"):
                assert re.search(rf"^  {key}=", out, re.MULTILINE)


def test_a_group_stays_a_group_where_a_verb_reads_its_choice(run_cli) -> None:
    """`plan` names the option of the transforms; typing one must also choose it."""
    out = run_cli("plan", "data=phantom", "transforms=workshop3d", "--cfg", "job").out
    assert OmegaConf.create(out).transforms._target_.endswith(".Workshop")


def test_both_names_are_the_same_door() -> None:
    script = Path(sys.executable).with_name("medlight")
    doors = ([sys.executable, "-m", "medlight"], [str(script)])
    answers = [
        subprocess.run([*words, "--cfg", "job", "model=segresnet"], capture_output=True, text=True)
        for words in doors
    ]
    assert [answer.returncode for answer in answers] == [0, 0]
    assert answers[0].stdout == answers[1].stdout


def test_a_leading_bare_word_is_the_verb() -> None:
    assert parse_verb(["evaluate", "run=x"], TREE) == ["job=evaluate", "run=x"]
    assert parse_verb(["job=evaluate", "run=x"], TREE) == ["job=evaluate", "run=x"]
    assert parse_verb([], TREE) == []
    assert parse_verb(["~logger"], TREE) == ["~logger"]
    with pytest.raises(ConfigError, match="did you mean evaluate"):
        parse_verb(["evalute", "run=x"], TREE)


def test_null_chooses_nothing_and_paths_need_no_quotes(tmp_path: Path) -> None:
    odd = tmp_path / "a, b (c)=d"
    odd.mkdir()
    assert parse_verb(["logger=null", "schedule=null"], TREE) == ["logger=none", "~schedule"]
    assert parse_verb(["data.root=~/x"], TREE) == ["data.root='~/x'"]
    [quoted] = parse_verb([f"data.root={odd}"], TREE)
    assert quoted == f"data.root='{odd}'"
    assert parse_verb([quoted], TREE) == [quoted]


@pytest.mark.parametrize("words", ["-m {0} {1}", "{0} -m {1}", "{0} {1} -m"])
def test_options_may_stand_anywhere(run_cli, words: str) -> None:
    words = words.replace("-m", "--cfg job").format("seed=3", "name=x")
    code, out, _ = run_cli(*words.split())
    cfg = OmegaConf.create(out)
    assert (code, cfg.seed, cfg.name) == (0, 3, "x")


def test_configs_of_the_working_directory_add_to_ours(run_cli, tmp_path: Path) -> None:
    for folder in (tmp_path / "conf", tmp_path / "elsewhere"):
        (folder / "model").mkdir(parents=True)
        (folder / "model" / f"of_{folder.name}.yaml").write_text("# Mine.\n_target_: my.Net\n")
    assert "_target_: my.Net" in run_cli("--cfg", "job", "model=of_conf").out
    assert "of_conf" in run_cli("--cfg", "job", "model=of_elsewhere").err
    there = run_cli("--config-dir", "elsewhere", "--cfg", "job", "model=of_elsewhere")
    assert "_target_: my.Net" in there.out
    assert "of_conf" in run_cli("--help").out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("medlight ev", ["evaluate"]),
        ("medlight model=seg", ["model=segresnet"]),
        ("medlight evaluate trainer.max_ep", ["trainer.max_epochs="]),
        ("medlight experiment=cls_d", ["experiment=cls_densenet"]),
    ],
)
def test_completion(run_cli, monkeypatch, line: str, expected: list[str]) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert run_cli("-sc", "query=bash").out.split() == expected


def test_completion_binds_to_the_console_script(run_cli) -> None:
    assert run_cli("-sc", "install=bash").out.rstrip().endswith("hydra_bash_completion medlight")


def test_two_runs_in_one_second_lie_apart() -> None:
    code = "from medlight.cli.config import run_token; print(run_token(), run_token())"
    words = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
        for _ in range(2)
    ]
    assert words[0][0] == words[0][1] != words[1][0]
    assert re.fullmatch("[0-9a-f]{4}", run_token())


def test_conf_dirs_lists_ours_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(conf_dir().parent)
    assert conf_dirs() == [conf_dir()]
