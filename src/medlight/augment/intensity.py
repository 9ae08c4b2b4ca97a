"""Intensity changes of a batch of images, sample by sample."""

import torch
from torch import Tensor

from medlight.augment.random import Draws

SMALLEST = 1e-6


def spread(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each sample and channel, shaped to broadcast."""
    axes = tuple(range(2, image.ndim))
    deviation, mean = torch.std_mean(image, dim=axes, keepdim=True)
    return mean, deviation


def brightness_contrast(
    image: Tensor, draws: Draws, *, brightness: float, contrast: float
) -> Tensor:
    """Stretch about the mean by up to 1 + `contrast` or its inverse, and shift by up to
    `brightness` standard deviations."""
    mean, deviation = spread(image)
    shape = (-1, *(1,) * (image.ndim - 1))
    low = 1 / (1 + contrast)
    factor = draws.between(low, 1 + contrast).view(shape)
    offset = draws.between(-brightness, brightness).view(shape) * deviation
    return (image - mean) * factor + mean + offset


def gamma(image: Tensor, draws: Draws, *, strength: float) -> Tensor:
    """Raise intensities, scaled to [0, 1] between their ends, to a power of up to 1 + `strength`
    or its inverse."""
    axes = tuple(range(2, image.ndim))
    low, high = image.amin(axes, keepdim=True), image.amax(axes, keepdim=True)
    span = (high - low).clamp(min=SMALLEST)
    power = (1 + strength) ** draws.between(-1, 1).view(-1, *(1,) * (image.ndim - 1))
    return ((image - low) / span).clamp(SMALLEST, 1) ** power * span + low


def noise(image: Tensor, draws: Draws, *, strength: float) -> Tensor:
    """Add Gaussian noise of up to `strength` standard deviations."""
    _, deviation = spread(image)
    sigma = draws.between(0, strength).view(-1, *(1,) * (image.ndim - 1)) * deviation
    return image + sigma * draws.normal(*image.shape[1:])
