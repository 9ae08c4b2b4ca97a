"""From a partial of a net and the facts of the data to the net."""

import inspect
from collections.abc import Callable

from torch import nn

from medlight.core.errors import ConfigError
from medlight.core.facts import Facts

NAMES = {
    "spatial_dims": ("spatial_dims", "dimensions"),
    "in_channels": ("in_channels", "n_input_channels"),
    "out_channels": ("out_channels", "num_classes"),
}
"""How nets call what medlight tells them; the first is the usual word."""
SIZE = "img_size"


def build(net: Callable[..., nn.Module], facts: Facts, *, outputs: int) -> nn.Module:
    """Call a partial with spatial_dims, in_channels and out_channels, by the names it has for
    them, and with img_size where it wants one.

    ConfigError where it wants one and the training images have no common shape.
    """
    known = {
        "spatial_dims": facts.spatial_dims,
        "in_channels": facts.channels,
        "out_channels": outputs,
    }
    asked = inspect.signature(net).parameters
    told: dict[str, object] = {}
    for name, value in known.items():
        told[next((each for each in NAMES[name] if each in asked), name)] = value
    if SIZE in asked and SIZE not in getattr(net, "keywords", {}):
        if facts.shape is None:
            word = ", ".join(["64"] * facts.spatial_dims)
            raise ConfigError(
                f"{name_of(net)} is built for one image size, but the training images differ in "
                f"shape; cut them to one with data.patch=[{word}], or resize them (transforms)"
            )
        told[SIZE] = facts.shape
    return net(**told)


def name_of(net: Callable[..., nn.Module]) -> str:
    inner = getattr(net, "func", net)
    return getattr(inner, "__name__", type(inner).__name__)
