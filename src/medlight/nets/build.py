"""From a partial of a net and the facts of the data to the net."""

import inspect
from collections.abc import Callable

from torch import nn

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError

PARAMETER_NAMES = {
    "spatial_dims": ("spatial_dims", "dimensions"),
    "in_channels": ("in_channels", "n_input_channels"),
    "out_channels": ("out_channels", "num_classes"),
}
"""How nets call what medlight tells them; the first is the usual word."""
IMAGE_SIZE = "img_size"


def build(net: Callable[..., nn.Module], spec: DataSpec, *, out_channels: int) -> nn.Module:
    """Call a partial with spatial_dims, in_channels and out_channels, by the names it has for
    them, and with img_size where it wants one.

    ConfigError where it wants one and the training images have no common shape.
    """
    known = {
        "spatial_dims": spec.spatial_dims,
        "in_channels": spec.channels,
        "out_channels": out_channels,
    }
    asked = inspect.signature(net).parameters
    told: dict[str, object] = {}
    for name, value in known.items():
        told[next((each for each in PARAMETER_NAMES[name] if each in asked), name)] = value
    if IMAGE_SIZE in asked and IMAGE_SIZE not in getattr(net, "keywords", {}):
        if spec.shape is None:
            word = ", ".join(["64"] * spec.spatial_dims)
            raise ConfigError(
                f"{class_name(net)} is built for one image size, but the training images differ in "
                f"shape; cut them to one with data.patch=[{word}], or resize them (transforms)"
            )
        told[IMAGE_SIZE] = spec.shape
    return net(**told)


def class_name(net: Callable[..., nn.Module]) -> str:
    inner = getattr(net, "func", net)
    return getattr(inner, "__name__", type(inner).__name__)
