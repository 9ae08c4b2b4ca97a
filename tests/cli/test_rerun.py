"""`resume=` and `run=` start from the run's own config, and change only what leaves it that run."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from medlight.cli.config import load_config, register, save_config
from medlight.cli.options import conf_dir
from medlight.cli.rerun import find_trained_runs
from medlight.core.errors import DataNotFoundError


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The directory of a run with settings of its own, named as from the working directory."""
    monkeypatch.chdir(tmp_path)
    register()
    overrides = ["seed=5", "data=mednist", "model=densenet121", "task=classification"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", [*overrides, "logger=wandb", "paths.run_dir=outputs/x/1"])
    save_config(cfg, tmp_path / "outputs" / "x" / "1" / "config.yaml")
    return "outputs/x/1"


def shown(run_cli, *words: str) -> DictConfig:
    code, out, err = run_cli("--cfg", "job", *words)
    assert (code, err) == (0, "")
    cfg = OmegaConf.create(out)
    assert isinstance(cfg, DictConfig)
    return cfg


def test_resume_is_the_same_run(run_cli, run_dir: str) -> None:
    cfg = shown(run_cli, f"resume={run_dir}", "trainer.max_epochs=77", "trainer.devices=2")
    saved = load_config(run_dir)
    assert (cfg.trainer.max_epochs, cfg.trainer.devices) == (77, 2)
    assert (cfg.seed, cfg.resume) == (5, run_dir)
    for node in ("data", "model", "optimizer", "schedule", "task", "logger", "job"):
        assert OmegaConf.to_container(cfg[node], resolve=False) == OmegaConf.to_container(
            saved[node], resolve=False
        ), node


def test_results_go_where_the_run_is(run_cli, run_dir: str) -> None:
    for words in ([f"resume={run_dir}"], ["evaluate", f"run={run_dir}"]):
        out = run_cli("--cfg", "hydra", *words, "-p", "hydra.run").out
        assert f"dir: {run_dir}\n" in out
        assert (
            run_cli("--cfg", "hydra", *words, "-p", "hydra.job_logging").out.count("run.log") == 1
        )


def test_a_verb_brings_its_own_job(run_cli, run_dir: str) -> None:
    cfg = shown(
        run_cli, "evaluate", f"run={run_dir}", "job.checkpoint=last", "inference.overlap=0.7"
    )
    assert cfg.job._target_.startswith("medlight.jobs.evaluate")
    assert (cfg.job.checkpoint, cfg.seed, cfg.run, cfg.resume) == ("last", 5, run_dir, None)
    assert cfg.inference.overlap == 0.7
    assert cfg == shown(run_cli, "job=evaluate", *(f"run={run_dir}", "job.checkpoint=last"),
                        "inference.overlap=0.7")  # fmt: skip


def test_a_choice_replaces_the_saved_group(run_cli, run_dir: str) -> None:
    assert "wandb" in load_config(run_dir).logger
    assert list(shown(run_cli, f"resume={run_dir}", "logger=csv").logger) == ["csv"]
    assert shown(run_cli, f"resume={run_dir}", "logger=null").logger == {}
    cfg = shown(
        run_cli, f"resume={run_dir}", "trainer=ddp", "trainer.devices=2", "~callbacks.panels"
    )
    assert cfg.trainer.strategy._target_.endswith("DDPStrategy")
    assert cfg.trainer.devices == 2
    assert "panels" not in cfg.callbacks


def test_another_way_to_compute_leaves_it_the_same_run(run_cli, run_dir: str) -> None:
    for words in ([f"resume={run_dir}"], ["reproduce", f"run={run_dir}"]):
        cfg = shown(run_cli, *words, "compile=true", "gradient_checkpointing=true")
        assert (cfg.compile, cfg.gradient_checkpointing, cfg.seed) == (True, True, 5)
        assert OmegaConf.to_container(cfg.task) == OmegaConf.to_container(load_config(run_dir).task)


def test_a_moved_data_set_leaves_it_the_same_run(run_cli, run_dir: str) -> None:
    words = ["data.root=elsewhere", "data.num_workers=2", "store.folder=shelf"]
    cfg = shown(run_cli, f"resume={run_dir}", *words)
    assert (cfg.data.root, cfg.data.num_workers, cfg.store.folder) == ("elsewhere", 2, "shelf")
    assert cfg.seed == 5


@pytest.mark.parametrize("words", ["seed=2", "model=unet3d", "data.fold=2", "experiment=seg_unet3d",
                                   "~schedule", "+data.x=1", "name=y", "job.resume=x"])  # fmt: skip
def test_what_would_make_it_another_run_is_refused(run_cli, run_dir: str, words: str) -> None:
    code, _, err = run_cli(f"resume={run_dir}", words)
    assert code == 1
    assert err == (
        f"error: {words} would make it another run: with resume= only "
        "inference, trainer, logger, paths, callbacks, compile, gradient_checkpointing, "
        "and where files are (such as data.root), can change\n"
    )


def test_slips_are_one_line_here_too(run_cli, run_dir: str) -> None:
    for words, hint in {
        f"resume={run_dir} trainer.max_epoch=3": "did you mean trainer.max_epochs?",
        f"resume={run_dir} logger=wandbb": "did you mean wandb?",
        f"evaluate run={run_dir} job.chekpoint=last": "did you mean job.checkpoint?",
        f"resume={run_dir} run={run_dir}": "exclude each other",
        f"evaluate resume={run_dir}": f"evaluate takes run={run_dir}",
        f"resume=[{run_dir},{run_dir}]": "one run directory",
        f"-m evaluate run={run_dir},{run_dir}": "takes run directories",
        "evaluate run=nowhere": "nowhere is not a run directory: it does not exist",
        "evaluate run=nowhere/*": "it does not exist",
    }.items():
        code, _, err = run_cli(*words.split())
        assert (code, err.count("\n")) == (1, 1), err
        assert hint in err


def test_lightning_starts_its_processes_with_the_same_words(run_cli, run_dir: str) -> None:
    """What its launcher appends to our arguments for each further process must be understood."""
    added = [f'hydra.run.dir="{run_dir}"', "hydra.job.name=process_1", "hydra.output_subdir=null"]
    for words in (["evaluate", f"run={run_dir}"], [f"resume={run_dir}", "trainer.devices=2"]):
        assert shown(run_cli, *words, *added) == shown(run_cli, *words)


def test_a_moved_run_is_found_where_it_is(run_cli, run_dir: str, tmp_path: Path) -> None:
    moved = tmp_path / "else where, moved"
    (tmp_path / run_dir).rename(moved)
    assert load_config(moved).paths.run_dir == str(moved)
    assert shown(run_cli, f"resume={moved}").resume == str(moved)


def test_runs_are_named_by_folder_pattern_and_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = [Path("sweeps/folds") / name for name in ("0", "2", "10")]
    for job in jobs:
        (job / "checkpoints").mkdir(parents=True)
        (job / "config.yaml").write_text("seed: 1\n")
    Path("sweeps/folds/multirun.yaml").write_text("")
    assert find_trained_runs("sweeps/folds/2") == [jobs[1]]
    assert (
        find_trained_runs("sweeps/folds")
        == find_trained_runs("sweeps")
        == find_trained_runs("swe*/folds/*")
        == jobs
    )
    assert find_trained_runs("sweeps/folds/[02]") == jobs[:2]
    assert find_trained_runs(["sweeps/folds/10", "sweeps"]) == [jobs[2], *jobs[:2]]
    assert find_trained_runs(str(tmp_path / "sweeps")) == [tmp_path / job for job in jobs]
    for empty in ("none", "none*", "sweeps/folds/multirun.yaml", ["sweeps", "none"]):
        with pytest.raises(DataNotFoundError, match="is not a run directory"):
            find_trained_runs(empty)


def test_several_runs_compose_as_the_first(run_cli, run_dir: str, tmp_path: Path) -> None:
    text = (tmp_path / run_dir / "config.yaml").read_text()
    for name in ("2", "10"):
        (tmp_path / "outputs/x" / name).mkdir()
        (tmp_path / f"outputs/x/{name}/config.yaml").write_text(text.replace("seed: 5", "seed: 6"))
    cfg = shown(run_cli, "evaluate", "run=outputs/x")
    assert (cfg.seed, cfg.run) == (5, "outputs/x")
    assert shown(run_cli, "evaluate", "run=[outputs/x/2,outputs/x/1]").seed == 6
    assert shown(run_cli, "evaluate", "run=outputs/x/[12]").run == "outputs/x/[12]"
    for words, where in {"run=outputs/x": "outputs/x", f"run={run_dir}": run_dir}.items():
        out = run_cli("--cfg", "hydra", "evaluate", words, "-p", "hydra.run").out
        assert f"dir: {where}\n" in out
    out = run_cli(
        "--cfg", "hydra", "evaluate", "run=[outputs/x/1,outputs/x/2]", "-p", "hydra.run"
    ).out
    assert "dir: outputs/${name}/" in out
    code, _, err = run_cli("evaluate", "run=outputs/x", "logger=none")
    untrained = "error: outputs/x/1 has no split.json: it has not been trained\n"
    assert (code, err) == (1, untrained)
