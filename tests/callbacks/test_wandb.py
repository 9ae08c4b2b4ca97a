"""What leaves for Weights & Biases, read back from real offline runs."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
import pytorch_lightning as pl

from medlight.callbacks.curves import CurvesLogger
from medlight.callbacks.epoch_reporter import TrialPruned
from medlight.callbacks.provenance import Provenance
from medlight.callbacks.results import Results
from medlight.callbacks.wandb_panels import WandbPanels, hash_case_id, hash_key
from medlight.core.errors import ConfigError
from medlight.loggers.wandb import WandbRunLogger

pytestmark = pytest.mark.usefixtures("nobody")


def whole_run(
    new_run: Callable[..., Any], kind: str, folder: Path, *, public: bool = False,
    share: bool = False, extra: tuple[pl.Callback, ...] = (),
) -> Any:  # fmt: skip
    callbacks = [Provenance(run_dir=folder), Results(run_dir=folder), WandbPanels(max_cases=2)]
    loggers = [CurvesLogger(run_dir=folder), WandbRunLogger(run_dir=folder, share=share)]
    run = new_run(kind, folder, [*callbacks, *extra], loggers, public=public)
    run.fit()
    run.test()
    return run


def inspect(folder: Path) -> list[dict[str, Any]]:
    """The records of the one offline run below a run directory."""
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def leaving(folder: Path) -> str:
    """All that `wandb sync` would send: the records and the text of the files; logs stay, and so
    do the paths by which records find files to upload."""
    files = [p for p in folder.glob("wandb/offline-run-*/files/**/*") if p.is_file()]
    texts = [p.read_text() for p in files if p.suffix in (".json", ".txt", ".yaml")]
    records = re.sub(r'"local_path": "[^"]*"', "", json.dumps(inspect(folder)))
    return "\n".join([records, *map(str, sorted(files)), *texts]).replace(str(folder), "")


@pytest.mark.parametrize("kind", ["volumes", "classes"])
def test_private_data_leaves_no_pixel_and_no_name(
    kind: str, new_run: Callable[..., Any], names_nobody: Callable[..., None], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "first"
    run = whole_run(new_run, kind, folder)
    text = leaving(folder)
    names_nobody(text, tmp_path)
    assert "ward7" not in text
    assert "mrs_smith" not in text
    assert "/nowhere" not in text
    assert not list(folder.rglob("*.png")) or {p.name for p in folder.rglob("*.png")} == {
        "curves.png"
    }
    (table,) = folder.glob("wandb/offline-run-*/files/media/table/test/table*.json")
    content = json.loads(table.read_text())
    place = content["columns"].index("case")
    cases = {line[place] for line in content["data"]}
    assert cases == {hash_case_id(case, hash_key()) for case in run.data.split.test}


def test_curves_settings_and_scores_arrive(new_run: Callable[..., Any], tmp_path: Path) -> None:
    run = whole_run(new_run, "volumes", tmp_path)
    records = inspect(tmp_path)
    history = [r["history"]["item"] for r in records if r["type"] == "history"]
    assert [h["train/loss_epoch"] for h in history if "train/loss_epoch" in h]
    assert [h["val/dice"] for h in history if "val/dice" in h]
    assert [h["test/dice"] for h in history if "test/dice" in h] == [
        pytest.approx(float(run.trainer.callback_metrics["test/dice"]))
    ]
    config = json.dumps([r for r in records if r["type"] == "config"])
    assert run.data.split.hash in config
    assert records[-1]["exit"]["exit_code"] == 0


def test_public_data_comes_with_panels_masks_and_ids(
    new_run: Callable[..., Any], names_nobody: Callable[..., None], tmp_path: Path
) -> None:
    run = whole_run(new_run, "volumes", tmp_path, public=True)
    files = next(tmp_path.glob("wandb/offline-run-*/files"))
    assert len(list(files.glob("media/images/test/*.png"))) == 2
    assert len(list(files.glob("media/images/mask/test/*.png"))) == 4
    sizes = {matplotlib.image.imread(path).shape[:2] for path in files.rglob("*.png")}
    assert len(sizes) == 1  # W&B scales all pictures of a panel like the first
    text = leaving(tmp_path)
    assert run.data.split.test[0] in text
    assert "spleen" in text
    assert "mrs_smith" not in text
    names_nobody(text, tmp_path)


def test_sharing_is_asked_for(new_run: Callable[..., Any], tmp_path: Path) -> None:
    whole_run(new_run, "classes", tmp_path, share=True)
    files = next(tmp_path.glob("wandb/offline-run-*/files"))
    assert len(list(files.glob("media/images/test/*.png"))) == 2
    assert list(files.glob("media/table/test/confusion*.json"))
    (bins,) = files.glob("media/table/test/calibration*.json")
    lines = json.loads(bins.read_text())["data"]
    assert sum(line[2] for line in lines) == 5
    assert all(0 <= share <= 1 for line in lines for share in line[:2])
    assert "ward7/case_09" in leaving(tmp_path)


class Trouble(pl.Callback):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def on_train_batch_end(self, *args: Any) -> None:
        raise self.error


def test_a_broken_run_ends_as_failed_and_the_next_is_another(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        whole_run(new_run, "images", tmp_path / "a", extra=(Trouble(RuntimeError("out of luck")),))
    whole_run(new_run, "images", tmp_path / "b")
    broken, whole = inspect(tmp_path / "a"), inspect(tmp_path / "b")
    assert broken[-1]["exit"]["exit_code"] == 1
    assert whole[-1]["exit"]["exit_code"] == 0
    ids = [next(r for r in rs if r["type"] == "run")["run"]["run_id"] for rs in (broken, whole)]
    assert ids[0] != ids[1]


def test_a_run_that_is_stopped_early_is_finished(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(TrialPruned):
        whole_run(new_run, "images", tmp_path, extra=(Trouble(TrialPruned("not worth it")),))
    assert inspect(tmp_path)[-1]["exit"]["exit_code"] == 0


def test_a_directory_keeps_its_run_id(tmp_path: Path) -> None:
    first, again = WandbRunLogger(run_dir=tmp_path), WandbRunLogger(run_dir=tmp_path)
    assert first.version == again.version
    assert WandbRunLogger(run_dir=tmp_path / "other").version != first.version


def test_names_are_hashed_with_a_key_nobody_else_reads() -> None:
    key = hash_key()
    assert key == hash_key()
    assert len(key) == 32
    (path,) = Path(os.environ["XDG_CACHE_HOME"]).rglob("case_ids")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert hash_case_id("case_1", key) == hash_case_id("case_1", key)
    assert hash_case_id("case_1", key) != hash_case_id("case_2", key)
    assert hash_case_id("case_1", key) != hash_case_id("case_1", b"another key")


def test_names_are_cut_to_what_wandb_takes_and_tags_are_checked(tmp_path: Path) -> None:
    """A name of 337 characters was recorded, and a tag of 73 a traceback of pydantic's."""
    logger = WandbRunLogger(run_dir=tmp_path, offline=True, name="n" * 337, group="g" * 200)
    sent = logger._wandb_init
    assert (len(sent["name"]), len(sent["group"])) == (128, 128)
    assert sent["name"].endswith("n...")
    WandbRunLogger(run_dir=tmp_path, offline=True, name="n" * 128, tags=["t" * 64])
    for tag in ("t" * 65, ""):
        with pytest.raises(ConfigError, match=rf"^tags: W&B takes 1 to 64 .*got {len(tag)}"):
            WandbRunLogger(run_dir=tmp_path, offline=True, tags=["ok", tag])
