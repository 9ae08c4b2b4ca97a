"""Each change of intensity against MONAI, SciPy, torch or hand arithmetic."""

from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import AdjustContrast, ScaleIntensityFixedMean
from scipy import ndimage
from torch.nn.functional import interpolate

from medlight.augment.augment import Augment
from medlight.augment.channel_batch import ChannelBatch
from medlight.augment.intensity import (
    Brightness,
    Contrast,
    Gamma,
    GaussianNoise,
    IntensityStep,
    apply_steps,
)
from medlight.augment.random import RandomStreams
from medlight.augment.resolution import Blur, LowResolution
from medlight.core.errors import ConfigError

SHAPES = [(15, 12), (9, 12, 10)]


def rows(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(4, *shape, generator=torch.Generator().manual_seed(1)) * 3 + 7


def applied(step: IntensityStep, values: torch.Tensor, *numbers: torch.Tensor) -> torch.Tensor:
    changed, before = ChannelBatch(values), values.clone()
    step.apply(changed, *numbers)
    moved = changed.values()
    assert torch.equal(values, before)
    return moved


def test_brightness_by_hand() -> None:
    image = torch.tensor([[1.0, 3.0]])  # standard deviation 1
    step = Brightness(shift=1.0, multiplier=[0.5, 2.0])
    moved = applied(step, image, torch.tensor([0.5]), torch.tensor([2.0]))
    assert moved.tolist() == [[2.5, 6.5]]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("keep", [False, True])
def test_contrast_is_monais(shape: tuple[int, ...], keep: bool) -> None:
    image, factors = rows(shape), torch.tensor([0.5, 0.9, 1.2, 2.0])
    moved = applied(Contrast(preserve_range=keep), image, factors)
    for row, factor, found in zip(image, factors, moved, strict=True):
        theirs = ScaleIntensityFixedMean(
            factor=float(factor) - 1, fixed_mean=not keep, preserve_range=keep
        )
        expected = torch.as_tensor(theirs(row[None])[0])
        if keep:  # without fixed_mean, they stretch about 0
            expected = ((row - row.mean()) * factor + row.mean()).clamp(row.min(), row.max())
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_gamma_is_monais(shape: tuple[int, ...], invert: bool, keep: bool) -> None:
    image, powers = rows(shape), torch.tensor([0.7, 0.9, 1.1, 1.5])
    moved = applied(Gamma(invert=invert, retain_stats=keep), image, powers)
    for row, power, found in zip(image, powers, moved, strict=True):
        theirs = AdjustContrast(float(power), invert_image=invert, retain_stats=keep)
        expected = torch.as_tensor(theirs(row[None].clone())[0])
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_blur_is_scipys(shape: tuple[int, ...]) -> None:
    image = rows(shape)
    sigma = torch.tensor([[0.5, 0.6, 0.9], [1.0, 0.5, 0.7], [0.8, 0.8, 0.8], [1.0, 1.0, 1.0]])
    moved = applied(Blur(sigma=[0.5, 1.0]), image, sigma)
    for row, widths, found in zip(image, sigma, moved, strict=True):
        expected = ndimage.gaussian_filter(
            row.double().numpy(), widths[: len(shape)].tolist(), mode="nearest", truncate=9
        )
        np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("shape", [*SHAPES, (8, 32, 30)])
def test_low_resolution_is_torchs_interpolate(shape: tuple[int, ...]) -> None:
    image, shares = rows(shape), torch.tensor([0.5, 0.61, 0.83, 1.0])
    moved = applied(LowResolution(in_plane=True), image, shares)
    for row, share, found in zip(image, shares, moved, strict=True):
        size = [round(n * float(share)) for n in shape]
        if shape[0] == 8:  # a stack of slices
            size[0] = 8
        coarse = interpolate(row[None, None], size, mode="nearest-exact")
        back = interpolate(coarse, shape, mode="bilinear" if len(shape) == 2 else "trilinear")
        torch.testing.assert_close(found, back[0, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(moved[3], image[3])


def test_steps_at_once_are_steps_one_after_another(batch_of: Any) -> None:
    """Linear maps are put off and joined; channels that a step did not choose are left alone."""
    steps: dict[str, IntensityStep] = {
        "gamma_inverted": Gamma(probability=0.6, gamma=[0.7, 1.5], invert=True),
        "brightness": Brightness(probability=0.5, shift=1.0, multiplier=[0.5, 2.0]),
        "contrast": Contrast(channel_probability=0.5, multiplier=[0.5, 2.0]),
        "kept": Gamma(gamma=[0.7, 1.5], retain_stats=True),
        "clipped": Contrast(probability=0.5, multiplier=[0.5, 2.0], preserve_range=True),
        "blur": Blur(probability=0.5),
        "again": Gamma(probability=0.5, gamma=[0.7, 1.5]),
        "noise": GaussianNoise(probability=0.5, std=[0.1, 0.5]),
        "last": Brightness(shift=1.0),
    }
    image = batch_of((12, 10), 24, 2)["image"]
    rng = RandomStreams(seed=0, epoch=0, position=torch.arange(24)).streams(steps)
    again = RandomStreams(seed=0, epoch=0, position=torch.arange(24)).streams(steps)
    expected = image
    for name, step in steps.items():
        expected = step(expected, again[name])
    torch.testing.assert_close(apply_steps(image, steps, rng), expected, atol=1e-4, rtol=1e-4)


def test_noise_has_the_strength_it_says() -> None:
    image = torch.cat([torch.zeros(50, 1, 32, 32), torch.ones(50, 1, 32, 32)], dim=2) * 4
    rng = RandomStreams(seed=0, epoch=0, position=torch.arange(50))
    added = GaussianNoise(std=[0.5, 0.5])(image, rng) - image
    assert float(added.std()) == pytest.approx(0.5 * 2, rel=0.02)
    assert float(added.mean()) == pytest.approx(0, abs=0.02)


def test_probabilities_hold_for_samples_and_channels() -> None:
    image = torch.randn(20000, 4, 3, 3)
    step = Contrast(probability=0.2, channel_probability=0.5, multiplier=[0.5, 0.9])
    changed = (
        (step(image, RandomStreams(seed=0, epoch=0, position=torch.arange(20000))) != image)
        .any(-1)
        .any(-1)
    )
    assert changed.float().mean() == pytest.approx(0.1, abs=5e-3)
    assert changed.any(1).float().mean() == pytest.approx(0.2 * (1 - 0.5**4), abs=8e-3)


def test_channels_are_changed_each_in_their_own_way(batch_of: Any) -> None:
    batch = batch_of((12, 10), 4, 3)
    batch["image"] = batch["image"][:, :1].expand(-1, 3, -1, -1)
    steps: dict[str, IntensityStep] = {"a": Brightness(shift=1), "b": GaussianNoise(std=[0.1, 0.2])}
    for name, step in steps.items():
        moved = Augment(intensity={name: step})(batch, seed=0, epoch=0)["image"]
        assert not torch.allclose(moved[:, 0], moved[:, 1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gamma(gamma=[0.0, 1.0]),
        lambda: Contrast(multiplier=[2.0, 1.0]),
        lambda: Brightness(multiplier=[1.0, 2.0, 3.0]),
        lambda: Blur(sigma=[-1.0, 1.0]),
    ],
)
def test_ranges_are_checked(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()
