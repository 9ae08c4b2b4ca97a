"""The exported program says of an image what `predict` says, and takes channels as it does."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medlight.core.errors import DataError
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.inputs import find_inputs
from medlight.jobs.export import describe_artifact
from medlight.jobs.input_warnings import InputWarnings
from medlight.jobs.model_card import model_card
from medlight.jobs.predict import read_ahead
from medlight.tasks.trained_model import TrainedModel
from tests.io.test_nifti_odd import content
from tests.jobs.test_predict import Mean, trained

SEEN = {"spacing_low_mm": (1.0, 1.0, 2.0), "spacing_high_mm": (1.0, 1.5, 3.0)}
COLOURS = np.random.default_rng(1).integers(0, 256, (12, 17, 3)).astype("u1")


def volume(path: Path, *spacing: float, top: float = 0.0, shift: float = 0.0) -> None:
    values = np.random.default_rng(len(path.name)).normal(0, 200, (9, 10, 11)).astype("f4") + top
    affine = np.diag([*spacing, 1.0])
    affine[0, 3] = shift
    nib.save(nib.Nifti1Image(values, affine), path)


def of_training(model: TrainedModel, **seen: Any) -> TrainedModel:
    """The same, trained on images of these voxel sizes and largest values."""
    spec = replace(model.spec, modality=("CT", "PET")[: model.spec.channels], **seen)
    task = type(model.task)(net=Mean, spec=spec, loss=model.task.loss).eval()
    return replace(model, task=task, recipe=model.transforms.recipe)


@pytest.fixture
def both(
    tmp_path: Path, theirs: Any, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> Callable[[TrainedModel, Path], tuple[list[str], list[str], Any, Any]]:  # fmt: skip
    """What both say of a file, and the image that each gives the net."""

    def look(model: TrainedModel, path: Path) -> tuple[list[str], list[str], Any, Any]:
        channels, spatial_dims = model.spec.channels, model.spec.spatial_dims
        cases = find_inputs(path.parent, channels=channels, spatial_dims=spatial_dims)
        [(case, sample)] = list(read_ahead(cases, model))
        if isinstance(sample, Exception):
            raise sample
        odd = InputWarnings(model.spec)
        odd.look(case.name, sample)
        caplog.clear()
        odd.report()
        theirs.ARTIFACT.update(describe_artifact(model, SlidingWindow()))
        theirs.ARTIFACT.pop("window", None)
        theirs.ARTIFACT.update(output={"activation": "none"}, classes=[])
        given: list[Any] = []
        theirs.load_net = lambda: lambda image: given.append(image[0]) or np.zeros((1, 0))
        monkeypatch.setattr(sys, "argv", ["run.py", str(path)])
        theirs.main()
        return caplog.messages, capsys.readouterr().err.splitlines(), sample["image"], given[0]

    return look


ODD: dict[str, tuple[dict[str, Any], int, Callable[[Path], Any]]] = {
    "near": (SEEN, 0, lambda p: volume(p / "c.nii", 1, 1, 2)),
    "far": (SEEN, 1, lambda p: volume(p / "c.nii.gz", 2, 1, 2)),
    "close": (SEEN, 1, lambda p: volume(p / "c.nii.gz", 1, 1, 1)),
    "dark": ({"brightest": (80.0, 99.0)}, 1, lambda p: volume(p / "c.nii.gz", 1, 1, 1)),
    "bright": ({"brightest": (0.0, 0.01)}, 1, lambda p: volume(p / "c.nii.gz", 1, 1, 1)),
    "both": (SEEN | {"brightest": (80.0, 99.0)}, 2, lambda p: volume(p / "c.nii.gz", 9, 1, 1)),
    "thickness": (SEEN, 2, lambda p: (p / "c.nii").write_bytes(
        content("<f4", (9, 9, 9), sform_code=0, qform_code=0, pixdim=[1, 1, 1, 0, 0, 0, 0, 0]))),
    "colour": ({}, 1, lambda p: Image.fromarray(COLOURS).save(p / "c.png")),
    "grey palette": ({}, 0, lambda p: Image.fromarray(COLOURS[..., 0]).convert("P").save(
        p / "c.png")),
    "transparent": ({}, 0, lambda p: Image.fromarray(COLOURS[..., 0]).convert("LA").save(
        p / "c.png")),
    "far away": ({"brightest": (0.0, 0.01)}, 2, lambda p: Image.fromarray(COLOURS).save(
        p / "c.png")),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_both_say_the_same_of_an_image(tmp_path: Path, both: Any, kind: str) -> None:
    """The exported program said nothing of any of these."""
    seen, count, write = ODD[kind]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    [path] = (tmp_path / "in").iterdir()
    model = of_training(trained(1, classes=path.suffix == ".png"), **seen)
    ours, said, image, other = both(model, path)
    assert said == ours
    assert len(said) == count
    np.testing.assert_allclose(other, image, rtol=1e-4, atol=1e-4)


def test_both_join_channels(tmp_path: Path, both: Any) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    model = of_training(trained(1, channels=2), **SEEN)
    volume(folder / "c_0000.nii.gz", 1, 1, 2)
    for shift, name, error in (
        (0, "c_0002.nii.gz", "takes 2 channels"),
        (1, "c_0001.nii.gz", "does not lie on the grid of c_0000"),
    ):
        volume(folder / name, 1, 1, 2, shift=shift)
        with pytest.raises(DataError, match=error):
            both(model, folder / "c_0000.nii.gz")
        with pytest.raises(SystemExit, match=error):
            sys.modules["artifact_read"].read_image(
                folder / "c_0000.nii.gz", {"channels": 2, "spatial_dims": 3}
            )
        (folder / name).unlink()
    volume(folder / "c_0001.nii.gz", 1, 1, 2, top=900, shift=0.05)
    ours, said, image, other = both(model, folder / "c_0000.nii.gz")
    assert (ours, said) == ([], [])
    np.testing.assert_allclose(other, image, rtol=1e-4, atol=1e-4)


def test_the_card_says_that_a_run_was_partial(tmp_path: Path) -> None:
    """Scores of a try-out stood there as results."""
    record = {"partial": {"fit": ["trainer.max_steps=3"], "test": ["trainer.limit_test_batches=1"]}}
    (tmp_path / "provenance.json").write_text(json.dumps(record))
    card = model_card(tmp_path, trained(1), {})
    told = "**A partial run, no result**: trainer.max_steps=3, trainer.limit_test_batches=1."
    assert told in card
    (tmp_path / "provenance.json").unlink()
    assert "partial" not in model_card(tmp_path, trained(1), {})
