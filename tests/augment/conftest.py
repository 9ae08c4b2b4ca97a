"""Batches to augment, and the presets of conf/augment."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from medlight.augment.augment import Augment

PRESETS = sorted((Path(__file__).parents[2] / "conf" / "augment").glob("*.yaml"))
Batch = dict[str, torch.Tensor]


@pytest.fixture(params=PRESETS, ids=lambda path: path.stem)
def preset(request: pytest.FixtureRequest) -> Augment:
    return instantiate(OmegaConf.load(request.param), _convert_="all")


def ball(shape: tuple[int, ...], radius: float, centre: float) -> torch.Tensor:
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float) for n in shape), indexing="ij")
    return sum((a - n * centre) ** 2 for a, n in zip(axes, shape, strict=True)) < radius**2


@pytest.fixture
def batch_of() -> Callable[..., Batch]:
    """Noise, and two balls as a mask; rows of a batch have draws 0, 1, ..."""

    def make(shape: tuple[int, ...], count: int = 6, channels: int = 1) -> Batch:
        mask = ball(shape, 9, 0.5).long() + ball(shape, 4, 0.25).long()
        generator = torch.Generator().manual_seed(0)
        return {
            "image": torch.randn(count, channels, *shape, generator=generator),
            "mask": mask.expand(count, 1, *shape).clone(),
            "position": torch.arange(count),
        }

    return make
