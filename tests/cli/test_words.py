"""Names are taken as typed: Hydra would read 1_2 as the number 12, and 1.10 as 1.1."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from medlight.cli.config import RunConfig
from medlight.cli.overrides import parse_verb
from medlight.cli.validate import check_targets
from medlight.core.errors import ConfigError
from medlight.sweep.sweep import varying_overrides
from tests.conftest import RunCli

ODD = [
    "1_2",
    "1e5",
    "2024",
    "1.10",
    "007",
    "null",
    "true",
    "NaN",
    "-1",
    "a b",
    "a=b",
    "M\u00fcller",
]


def parsed(word: str) -> object:
    [text] = parse_verb([word], {})
    override = OverridesParser.create().parse_override(text)
    if not override.is_sweep_override():
        return override.value()
    one = OverridesParser.create().parse_override
    return [one(f"x={each}").value() for each in override.sweep_string_iterator()]


@pytest.mark.parametrize("key", ["data.exclude", "tags", "siblings", "+data.exclude"])
def test_each_name_of_a_list_is_taken_as_typed(key: str) -> None:
    assert parsed(f"{key}=[{','.join(ODD)}]") == ODD
    assert parsed(f"{key}=['1_2',x]") == ["1_2", "x"]


@pytest.mark.parametrize("key", ["input", "output", "sweep.name", "group", "hydra.run.dir", "run"])
def test_a_name_is_taken_as_typed(key: str) -> None:
    assert [parsed(f"{key}={name}") for name in ODD if name != "null"] == [
        name for name in ODD if name != "null"
    ]
    assert parsed(f"{key}=null") is None
    assert parsed(f"{key}=O'Brien") == "O'Brien"


def test_a_pattern_of_patients_is_taken_as_typed() -> None:
    for pattern in (r"([PQ]\d{1,2})_", "(.+)_", r"(a,b|c)\d+$", "1_2", "table.csv"):
        assert parsed(f"data.patient={pattern}") == pattern
        assert parsed(f"data.patient='{pattern}'") == pattern
    assert parsed("data.patient=null") is None


def test_the_name_of_a_configuration_is_taken_as_typed() -> None:
    [text] = parse_verb(["model=1_2"], {"model": {"1_2": Path("conf/model/1_2.yaml")}})
    assert text == "model='1_2'"
    assert parsed("model=1_2") == 12  # no group


def test_the_names_of_a_sweep_are_taken_as_typed() -> None:
    assert parsed("data.exclude=1_2,1e5") == ["1_2", "1e5"]
    assert parsed("data.exclude=[1_2],[1.10,b]") == [["1_2"], ["1.10", "b"]]


def test_the_names_of_a_preset_are_taken_as_written() -> None:
    [varying] = varying_overrides({"data.exclude": "[1_2],[1e5]"}, [])
    assert list(varying.sweep_string_iterator()) == ["['1_2']", "['1e5']"]


def test_numbers_stay_numbers_and_references_references() -> None:
    assert parsed("optimizer.lr=1e-3") == 1e-3
    assert parsed("seed=1_0") == 10
    assert parsed("data.fold=0,1") == [0, 1]
    assert parsed("name=${group}") == "${group}"
    assert parsed("name=choice(a,b)") == ["a", "b"]


def test_a_folder_called_like_a_number_is_a_folder(run_cli: RunCli) -> None:
    Path("2024").mkdir()
    code, _, err = run_cli("evaluate", "predictions=2024", "labels=2025")
    assert code == 1
    assert "Traceback" not in err
    assert "2025" in err


DATA = "_target_: medlight.datasets.decathlon.DecathlonDataModule"
SWEEP = "_target_: medlight.sweep.grid.GridSweep"
IN_YAML = [
    "name: {}", "group: {}", "tags: [{}]", "init: {}", "resume: {}", "run: {}", "run: [{}]",
    *(f"data: {{{{{DATA}, {key}: {{}}}}}}" for key in
      ("root", "cache", "patient", "withdrawn", "target", "manifest", "slice_labels", "task")),
    *(f"data: {{{{{DATA}, {key}: [{{}}]}}}}" for key in ("exclude", "class_names", "modality")),
    f"data: {{{{{DATA}, regions: {{{{{{}}: [1]}}}}}}}}",
    f"{{{{paths: {{{{data: {{}}}}}}, data: {{{{{DATA}, root: '${{{{paths.data}}}}'}}}}}}}}",
    f"sweep: {{{{{SWEEP}, name: {{}}}}}}",
    f"sweep: {{{{{SWEEP}, params: {{{{data.exclude: {{}}}}}}}}}}",
]  # fmt: skip


def from_yaml(text: str) -> DictConfig:
    cfg = OmegaConf.merge(OmegaConf.structured(RunConfig), OmegaConf.create(text))
    assert isinstance(cfg, DictConfig)
    return cfg


@pytest.mark.parametrize("text", IN_YAML)
def test_a_name_that_yaml_changes_is_refused(text: str) -> None:
    """`name: 1_2` was the run 12, and a tag 1.10 was 1.1."""
    for name in ("1_2", "1e5", "2024", "1.10", "true", "no", "010", "1:30"):
        check_targets(from_yaml(text.format(f"'{name}'")))
        with pytest.raises(ConfigError, match="put it in quotes"):
            check_targets(from_yaml(text.format(name)))
    check_targets(from_yaml(text.format("08")))
    if "[{}]" in text:
        with pytest.raises(ConfigError, match="got null: put it in quotes"):
            check_targets(from_yaml(text.format("null")))


def test_a_number_in_a_list_of_defaults_is_told(run_cli: RunCli) -> None:
    """It ended in a traceback of Hydra."""
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/mine.yaml").write_text("defaults: [{override /model: 1_2}]")
    code, _, err = run_cli("experiment=mine", "--cfg", "job")
    assert (code, err.count("\n")) == (1, 1), err
    assert "in quotes, as in model: '1_2'" in err


def test_one_word_is_not_a_list() -> None:
    """Each letter of it was a tag, or a class."""
    for text in ("tags: abc", f"data: {{{DATA}, class_names: abc}}"):
        with pytest.raises(ConfigError, match=r"takes a list, got abc: type \[abc\]"):
            check_targets(from_yaml(text))
