"""nnU-Net's pictures: grey, in colour, and what is neither."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medlight.core.errors import MedlightError
from medlight.datasets.nnunet import NNUNetDataModule
from medlight.transforms.volume import Volume

NAME = "Dataset120_Roads"


def made(root: Path, **options: Any) -> NNUNetDataModule:
    return NNUNetDataModule(root=root, cache=root.parent / "cache", **options)


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("colour", [False, True])
def test_pictures(tmp_path: Path, ending: str, colour: bool) -> None:
    random = np.random.default_rng(0)
    names = {"0": "R", "1": "G", "2": "B"} if colour else {"0": "grey"}
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / NAME / part).mkdir(parents=True)
    for k in range(6):
        pixels = random.integers(0, 255, (16, 24, 3) if colour else (16, 24)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / NAME / f"imagesTr/p{k}_0000{ending}")
        labels = (pixels.reshape(16, 24, -1)[..., 0] > 127).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / NAME / f"labelsTr/p{k}{ending}")
    labels = {"background": 0, "bright": 1}
    (tmp_path / NAME / "dataset.json").write_text(
        json.dumps({"channel_names": names, "labels": labels, "file_ending": ending})
    )
    data = made(tmp_path / NAME)
    data.setup()
    assert (data.spec.spatial_dims, data.spec.channels) == (2, len(names))
    with pytest.raises(MedlightError, match=r"2 axes; type transforms=radiograph"):
        made(tmp_path / NAME, transforms=Volume()).setup()
    if colour:
        path = tmp_path / NAME / f"imagesTr/p0_0000{ending}"
        Image.open(path).convert("L").save(path)
        with pytest.raises(MedlightError, match="has 1 channels, but channel_names 3 names"):
            made(tmp_path / NAME).index()
