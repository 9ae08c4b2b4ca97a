"""Build a net from a partial and the description of the data; and let it save memory by gradient
checkpointing, if its blocks are known (Chen et al. 2016)."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from medlight.compat.torch import BatchNorm
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
    """Call a partial with spatial_dims, in_channels and out_channels, by the names it has for them,
    and with img_size if it wants one.

    Args:
        net: the partial of a net.
        spec: of the data.
        out_channels: what the task needs.

    Raises:
        ConfigError: it wants an image size, and the training images have no common shape; or it
            cannot be built with its settings.
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
    _check_levels(net)
    try:
        built = net(**told)
    except ConfigError:
        raise
    except ValueError as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"model: {class_name(net)} cannot be built: {text}") from error
    if spec.spatial_dims == 2 and any(isinstance(part, nn.Conv3d) for part in built.modules()):
        sliced = f", of data.slices={spec.slices}" if spec.slices else ""
        raise ConfigError(
            f"model: {class_name(net)} is a net for volumes, but the images have two axes{sliced}; "
            f"choose another, such as model=unet2d"
        )
    return built


def _check_levels(net: Callable[..., nn.Module]) -> None:
    given = getattr(net, "keywords", {})
    channels, strides = given.get("channels"), given.get("strides")
    if channels and strides and len(strides) != len(channels) - 1:
        fitting = ", ".join("2" for _ in channels[1:])
        raise ConfigError(
            f"model.channels has {len(channels)} levels and model.strides {len(strides)} steps "
            f"between them: give model.strides=[{fitting}]"
        )


def class_name(net: Callable[..., nn.Module]) -> str:
    inner = getattr(net, "func", net)
    return getattr(inner, "__name__", type(inner).__name__)


CHECKPOINTED_BLOCKS = frozenset(
    {
        *("ResidualUnit", "Residual", "ResBlock", "ResNetBlock", "ResNetBottleneck"),
        *("UnetResBlock", "UnetBasicBlock", "ConvBlock"),
        *("MBConvBlock", "_DenseLayer", "TransformerBlock", "SwinTransformerBlock"),
    }
)
"""Classes of MONAI's, and of `medlight.nets`, that are computed again as a whole."""


class Checkpointed(nn.Module):
    """Mixed into a block: while training, keeps its input only, and computes it again on the way
    back. The second time, batch norms leave their running statistics as they are."""

    def forward(self, *inputs: Any) -> Any:
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(*inputs)
        return checkpoint(super().forward, *inputs, use_reentrant=False, context_fn=self._contexts)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), self._recomputing()

    @contextmanager
    def _recomputing(self) -> Iterator[None]:
        norms = [m for m in self.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
        before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        try:
            yield
        finally:
            for norm, (momentum, batches) in zip(norms, before, strict=True):
                norm.momentum, norm.num_batches_tracked = momentum, batches


def enable_gradient_checkpointing(net: nn.Module) -> int:
    """Make every known block of a net compute itself again, in place; the outermost ones if nested.

    Names and shapes of weights stay.

    Args:
        net: changed in place.

    Returns:
        How many blocks there are.

    Raises:
        ConfigError: there is none.
    """
    count = _checkpoint_blocks(net)
    if not count:
        raise ConfigError(
            f"gradient_checkpointing=true does not know the blocks of {type(net).__name__}: "
            f"known are {', '.join(sorted(CHECKPOINTED_BLOCKS))}; leave it out, or name a block "
            f"of your own so"
        )
    return count


def _checkpoint_blocks(module: nn.Module) -> int:
    kind = type(module)
    if issubclass(kind, Checkpointed):  # a block that is known by two names
        return 0
    if kind.__name__ in CHECKPOINTED_BLOCKS:
        module.__class__ = type(kind.__name__, (Checkpointed, kind), {})
        return 1
    return sum(_checkpoint_blocks(child) for child in module.children())
