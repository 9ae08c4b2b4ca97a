"""The workshop presets against MONAI's own transforms, which the workshop chains."""

from pathlib import Path

import monai.transforms as mt
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from medlight.cli.config import register
from medlight.cli.options import conf_dir
from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.intensity import IntensityStatistics
from medlight.io.read import read_image
from medlight.transforms.workshop import Workshop

RANDOM = np.random.default_rng(1)


def composed(*words: str):
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", [*words])


def test_images_are_those_of_the_workshop(tmp_path: Path) -> None:
    pixels = RANDOM.integers(20, 200, (90, 130)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    image, grid = read_image(tmp_path / "x.png")
    workshop = instantiate(composed("transforms=workshop2d").transforms, _convert_="all")
    ours = workshop({"image": torch.from_numpy(image), "grid": grid})["image"]
    chain = mt.Compose(
        [
            mt.LoadImage(image_only=True),
            mt.EnsureChannelFirst(),
            mt.Resize((64, 64)),
            mt.ScaleIntensity(),
        ]
    )
    theirs = chain(tmp_path / "x.png").as_tensor().transpose(1, 2)  # theirs is (C, width, height)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert (float(ours.min()), float(ours.max())) == (0, 1)


def test_volumes_are_those_of_the_workshop_and_masks_keep_their_labels() -> None:
    image = torch.from_numpy(RANDOM.normal(0, 900, (1, 70, 60, 30)).astype(np.float32))
    mask = torch.from_numpy(RANDOM.integers(0, 4, (1, 70, 60, 30)))
    grid = Grid((70, 60, 30), np.diag([0.8, 0.8, 5.0, 1.0]))
    workshop = instantiate(composed("transforms=workshop3d").transforms, _convert_="all")
    done = workshop({"image": image, "mask": mask, "grid": grid})
    chain = mt.Compose(
        [mt.Resize((128, 128, 64)), mt.ScaleIntensityRange(-1000, 1000, 0.0, 1.0, clip=True)]
    )
    torch.testing.assert_close(done["image"], chain(image).as_tensor(), atol=1e-5, rtol=0)
    assert set(done["mask"].unique().tolist()) <= {0, 1, 2, 3}
    smeared = mt.Resized(["mask"], (128, 128, 64))({"mask": mask.float()})["mask"]
    assert len(smeared.unique()) > 4, "by MONAI's default, masks are interpolated"
    ratio = np.array([70 / 128, 60 / 128, 30 / 64])
    np.testing.assert_allclose(done["grid"].spacing_mm, ratio * [0.8, 0.8, 5.0], rtol=1e-6)


def test_colours_are_scaled_together() -> None:
    image = np.stack([np.linspace(0, 1, 16), np.linspace(2, 5, 16)]).reshape(2, 4, 4)
    scaled = (
        Workshop(size=[4, 4]).intensity(IntensityStatistics.of(image), ()).apply(image.astype("f4"))
    )
    np.testing.assert_allclose(scaled, image / 5, atol=1e-6)


def test_a_constant_image_becomes_zero() -> None:
    image = np.full((1, 4, 4), 7.0, np.float32)
    assert (
        Workshop(size=[4, 4]).intensity(IntensityStatistics.of(image), ()).apply(image) == 0
    ).all()


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["transforms=workshop2d", "data=mednist"], ["flip", "rotate"]),
        (["transforms=workshop3d", "data=phantom"], ["flip"]),
        (["transforms=workshop3d", "data=phantom", "augment=none"], []),
        (["data=phantom"], ["flip", "affine", "elastic"]),
    ],
)
def test_the_preset_brings_its_augmentation_unless_another_is_chosen(
    words: list[str], steps: list[str]
) -> None:
    cfg = composed(*words)
    assert list(cfg.augment.get("spatial") or {}) == steps
    if "rotate" in steps:
        rotate = cfg.augment.spatial.rotate
        assert (rotate.rotate_degrees, rotate.probability) == (15, 0.5)


def test_the_wrong_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose transforms=workshop3d"):
        Workshop(size=[64, 64])({"image": torch.zeros(1, 4, 4, 4), "grid": Grid((4, 4, 4))})
