"""Checkpoints of strange content are refused in one line that names them, and change nothing."""

import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from medlight.cli.main import main
from medlight.core.data_spec import DataSpec
from medlight.core.labels import Labels

SPEC = DataSpec(2, 1, Labels(("background", "a"), "mask"), (8, 8), spacing_low_mm=(1.0, 1.0))
RUN = [
    "experiment=seg_unet2d", "data.n_cases=12", "data.batch_size=2", "data.epoch_samples=2",
    "model.channels=[4,8]", "model.strides=[2]", "trainer.accelerator=cpu", "trainer.max_epochs=1",
    "~callbacks.panels", "~logger", "callbacks.results.predictions=false",
]  # fmt: skip
nan = float("nan")


def test_what_data_can_have_is_read() -> None:
    assert DataSpec.from_dict(SPEC.as_dict()) == SPEC


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spatial_dims", 0), ("spatial_dims", "2"), ("channels", -1), ("channels", "1"),
        ("patch", [0, 8]), ("patch", ["a", "b"]), ("patch", [8]), ("tolerance_mm", "x"),
        ("tolerance_mm", nan), ("regions", [["a", [1.5]]]), ("ignore", "x"), ("ignore", -1),
        ("shape", [nan, nan]), ("class_counts", [-1]), ("class_counts", "x"), ("mirror_axes", [9]),
        ("modality", [1]), ("spacing_low_mm", [0, 0]), ("spacing_high_mm", [nan, nan]),
        ("spacing_low_mm", ["a", "b"]), ("brightest", ["a", "b"]), ("brightest", [nan, 1.0]),
        ("patch", [10**9, 1]), ("patch", [10**5, 10**5]), ("shape", [10**9, 10**9]),
        ("labels", {"names": "abc", "kind": "mask"}), ("labels", {"names": [1, 2], "kind": "mask"}),
    ],
)  # fmt: skip
def test_what_no_data_can_have_is_refused(name: str, value: Any) -> None:
    """It ended in a traceback of torch, MONAI or a warning, or was predicted with."""
    with pytest.raises(ValueError, match=name):
        DataSpec.from_dict({**SPEC.as_dict(), name: value})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("work")
    before, cache = Path.cwd(), os.environ.get("MEDLIGHT_CACHE")
    os.chdir(folder)
    os.environ["MEDLIGHT_CACHE"] = str(shared_cache)
    try:
        assert main([*RUN, "hydra.run.dir=run"]) == 0
    finally:
        os.chdir(before)
        os.environ.pop("MEDLIGHT_CACHE")
        if cache:
            os.environ["MEDLIGHT_CACHE"] = cache
    return folder


def spec(**values: Any) -> Callable[[Any], Any]:
    def change(held: Any) -> Any:
        held["medlight"]["spec"].update(values)
        return held

    return change


def one_weight(change: Callable[[torch.Tensor], Any]) -> Callable[[Any], Any]:
    def changed(held: Any) -> Any:
        name = next(iter(held["state_dict"]))
        held["state_dict"][name] = change(held["state_dict"][name])
        return held

    return changed


KINDS: dict[str, Callable[[Any], Any]] = {
    "a list": lambda held: [1],
    "no weights": lambda held: {k: v for k, v in held.items() if k != "state_dict"},
    "weights are a number": lambda held: {**held, "state_dict": 3},
    "a weight is a word": one_weight(lambda weight: "x"),
    "another shape": one_weight(lambda weight: torch.zeros(1)),
    "voxels of no size": spec(spacing_low_mm=[0, 0]),
    "epochs are a word": lambda held: {**held, "epoch": "x"},
    "no optimizer in it": lambda held: {**held, "optimizer_states": [{}]},
    "loops are a number": lambda held: {**held, "loops": 3},
    "a patch of 10^9": spec(patch=[10**9, 8]),
    "a version is a number": lambda held: {**held, "pytorch-lightning_version": 3},
    "a version is a word": lambda held: {**held, "pytorch-lightning_version": "x"},
    "a version before ours": lambda held: {**held, "pytorch-lightning_version": "0.9.0"},
    "callbacks without a state": lambda held: {
        **held,
        "callbacks": {key: {} for key in held["callbacks"]},
    },
}
WORDS = {
    "predict": ["run=run", "input={images}", "output=new"],
    "export": ["run=run", "format=torch_export", "output=new"],
    "evaluate": ["run=run", "hydra.run.dir=new"],
    "postprocess": ["run=run"],
    "resume": ["resume=run", "trainer.max_epochs=2"],
    "init": [*RUN, "init=run/checkpoints/best.ckpt", "hydra.run.dir=new"],
}
OF_WEIGHTS = ("a list", "no weights", "weights are a number", "a weight is a word", "another shape")
CASES = [
    *((verb, "another shape") for verb in WORDS if verb != "init"),
    ("predict", "no weights"), ("predict", "a weight is a word"), ("predict", "voxels of no size"),
    ("evaluate", "a list"), ("postprocess", "weights are a number"), ("init", "a list"),
    ("init", "weights are a number"), ("resume", "epochs are a word"),
    ("resume", "no optimizer in it"), ("resume", "loops are a number"),
    ("resume", "callbacks without a state"), ("predict", "a patch of 10^9"),
    ("resume", "a version is a number"), ("resume", "a version is a word"),
    ("resume", "a version before ours"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "kind"), CASES)
def test_a_strange_checkpoint_is_named(
    trained: Path, tmp_path: Path, run_cli: Any, shared_cache: Path,
    monkeypatch: pytest.MonkeyPatch, verb: str, kind: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("MEDLIGHT_CACHE", str(shared_cache))
    shutil.copytree(trained / "run", tmp_path / "run")
    for file in (tmp_path / "run" / "checkpoints").iterdir():
        held = copy.deepcopy(torch.load(file, weights_only=True))
        torch.save(KINDS[kind](held), file)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.*")}
    images = next(shared_cache.glob("phantoms/PhantomMasks*-12-*/slices/images"))
    words = [word.format(images=images) if "{" in word else word for word in WORDS[verb]]
    answer = run_cli(*([] if verb in ("resume", "init") else [verb]), *words)
    lines = [line for line in answer.err.splitlines() if line]
    assert (answer.code, len(lines)) == (1, 1), answer.err
    assert lines[0].startswith("error: ")
    assert ".ckpt" in lines[0]
    left = {p.name for p in (tmp_path / "new").rglob("*") if p.is_file()} - {"run.log", ".lock"}
    assert not left
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.*")}
    assert {p for p in before if after[p] != before[p] and p.name != "run.log"} == set()
