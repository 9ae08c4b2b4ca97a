"""Cases that a copy of a data set lost, or that its list forgot, and folds without a test."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.nnunet import NNUNetDataModule
from medlight.jobs.check import check_before_training
from medlight.jobs.fit import fit


@pytest.mark.parametrize("form", [NNUNetDataModule, DecathlonDataModule])
def test_cases_that_a_copy_lost_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: Any
) -> None:
    form.fake(tmp_path, cases=4)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    for said, warns in ((4, False), (6, True)):
        path = folder / "dataset.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"numTraining": said}))
        caplog.clear()
        _ = form(root=tmp_path, task=folder.name, cache=tmp_path / "cache").full_index
        assert ("says numTraining 6, but there are 4 training cases" in caplog.text) is warns


def test_an_image_with_another_ending_is_named_before_training(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Also where a case is left out, whose files are not named."""
    NNUNetDataModule.fake(tmp_path / "raw", cases=6)
    data = NNUNetDataModule(root=tmp_path / "raw", cache=tmp_path / "cache", exclude=["case_05"])
    lost = data.full_index[0].files["image"].paths[0]
    stray = lost.with_name("lost_0000.nii")
    stray.write_bytes(b"")
    check_before_training(data)
    assert f"1 images or volumes belong to no case: {stray}" in caplog.text


def test_a_fold_without_a_test_is_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    data = SimpleNamespace(split=SimpleNamespace(val=(), test=(), fold="2"))
    trainer = SimpleNamespace(is_global_zero=True, checkpoint_callback=None, fit=lambda *_, **__: 0)
    assert fit(data=data, task=None, trainer=trainer, run_dir=tmp_path) is None  # type: ignore[arg-type]
    assert "Nothing was tested: fold 2 has no test cases" in caplog.text
