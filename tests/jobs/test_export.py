"""An artifact predicts as medlight does, with nothing of medlight."""

import errno
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.networks.nets import UNet

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError, DataError, ExportError
from medlight.core.labels import Labels
from medlight.inference.heads import SoftmaxHead
from medlight.inference.sliding_window import SlidingWindow
from medlight.jobs.export import check_parity, export
from medlight.jobs.predict import predict
from medlight.tasks.segmentation import SegmentationTask
from medlight.tasks.trained_model import TrainedModel
from medlight.transforms.volume import Volume

LABELS = Labels(("background", "liver", "tumour"), "mask")
AFFINE = np.array([[0, 0, -2.0, 30], [-0.8, 0, 0, -8], [0, 1.0, 0, 4], [0, 0, 0, 1]])


def load(run: Path, checkpoint: str) -> TrainedModel:
    torch.manual_seed(3)
    net = partial(UNet, channels=(4, 8), strides=(2,), num_res_units=1, norm="batch")
    target = "regions" if run.name == "regions" else "labels"
    regions = (("whole", (1, 2)), ("tumour", (2,))) if target == "regions" else ()
    spec = DataSpec(3, 2, LABELS, patch=(9, 8, 12), modality=("CT", "PET"), regions=regions)
    loss = torch.nn.CrossEntropyLoss()
    task = SegmentationTask(net=net, spec=spec, loss=loss, target=target)
    return TrainedModel(
        name="seg/run", digest="0", task=task.eval(), recipe={}, device=torch.device("cpu"),
        transforms=Volume(spacing_mm=(1.5, 1.5, 1.5)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("onnx", "labels"),
        pytest.param("torch_export", "labels", marks=pytest.mark.slow),
        ("torch_export", "regions"),
    ],
)
def test_the_folder_alone_predicts_the_same(tmp_path: Path, kind: str, target: str) -> None:
    image = np.random.default_rng(0).normal(0, 200, (19, 21, 13, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(image, AFFINE), tmp_path / "case.nii.gz")
    windows = SlidingWindow(overlap=0.3)
    given = {"load": load, "inference": windows}
    export(run=tmp_path / target, **given, format=kind, output=tmp_path / "artifact")
    run, case = tmp_path / target, tmp_path / "case.nii.gz"
    predict(runs=[run], **given, input=case, output=tmp_path / "ours")
    words = [sys.executable, "-I", "artifact/run.py", "case.nii.gz", "theirs.nii.gz"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = (nib.load(tmp_path / p) for p in ("ours/case.nii.gz", "theirs.nii.gz"))
    one, other = (np.asanyarray(each.dataobj) for each in (ours, theirs))
    assert len(np.unique(one)) > 1
    lines = [line.split(",") for line in (tmp_path / "ours/volumes.csv").read_text().splitlines()]
    regions = {"whole": (1, 2)} if target == "regions" else {"liver": (1,)}
    for line, (name, labels) in zip(lines[1:], {**regions, "tumour": (2,)}.items(), strict=True):
        assert line[1:3] == [name, str(np.isin(one, labels).sum())]
    assert (one != other).mean() < 1e-3  # where two classes tie
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-6)
    about = json.loads((tmp_path / "artifact/artifact.json").read_text())
    low, high = (about["preprocessing"]["intensity"][0][end] for end in ("low", "high"))
    assert (low, high) == pytest.approx((-200, 300))
    assert about["preprocessing"]["intensity"][1] == {"kind": "standardise"}
    assert about["parity"]["label_agreement"] >= 0.9999
    card = (tmp_path / "artifact/MODEL_CARD.md").read_text()
    assert "Takes 3-D CT, PET" in card
    assert "no provenance.json" in card
    assert str(tmp_path) not in card + json.dumps(about)


def test_a_net_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    net = torch.nn.Conv3d(1, 2, 3, padding=1).eval()
    images = torch.randn(2, 1, 8, 8, 8)
    assert check_parity(net, net, images, SoftmaxHead().labels)["label_agreement"] == 1
    noise = 0.01 * torch.randn(2, 2, 8, 8, 8)
    with pytest.raises(ExportError, match="does not equal the checkpoint"):
        check_parity(
            net, lambda batch: net(batch) + noise[: len(batch)], images, SoftmaxHead().labels
        )


def test_one_of_two_formats(tmp_path: Path) -> None:
    given = {"load": load, "inference": SlidingWindow(), "output": tmp_path}
    with pytest.raises(ConfigError, match="onnx or torch_export"):
        export(run=tmp_path, format="onxx", **given)


def test_what_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged record was found when net and program were written; a full disk left half a net."""
    given = {"load": load, "inference": SlidingWindow(), "format": "torch_export"}
    run, folder = tmp_path / "labels", tmp_path / "artifact"
    run.mkdir()
    (run / "provenance.json").write_text('{"data": 3}')
    with pytest.raises(DataError, match=r"provenance\.json"):
        export(run=run, output=folder, **given)
    assert not folder.exists()
    (run / "provenance.json").unlink()

    def full(program: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch.export, "save", full)
    with pytest.raises(OSError, match="No space"):
        export(run=run, output=folder, **given)
    assert list(folder.iterdir()) == []
