"""What training takes, told without computing anything: nets are laid out on torch's meta device.

Shapes: B batch, C channels, *S spatial axes.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medlight.compat.torch import storage_id
from medlight.core.errors import ConfigError

WEIGHT_COPIES = 5
"""Of every weight: itself, its gradient, two moments of AdamW, its average."""
ACTIVATION_OVERHEAD = 2.5
"""Peak memory over what the backward pass waits for: gradients, loss and work space. 2.2 to 2.8 was
seen with MONAI's UNet on a CPU, for patches of 40 to 128 voxels."""


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """Where a plan is for: its memory in bytes, and whether it is a GPU."""

    memory: int
    gpu: bool

    @property
    def name(self) -> str:
        """In words."""
        return f"a {'GPU' if self.gpu else 'CPU'} with {self.memory / 2**30:.1f} GB"


def find_device(accelerator: str | None = None, memory_gb: float | None = None) -> PlannedDevice:
    """What is at hand, or what is stated.

    Args:
        accelerator: "cpu" or "gpu"; None: the first GPU, else this machine.
        memory_gb: what training may take; None: 80 % of what is measured here. ConfigError where
            a GPU is planned for that is not here.
    """
    here = torch.cuda.is_available()
    if accelerator not in (None, "cpu", "gpu"):
        raise ConfigError(f"accelerator is cpu or gpu, got {accelerator}")
    gpu = here if accelerator is None else accelerator == "gpu"
    if memory_gb is not None:
        return PlannedDevice(memory=int(memory_gb * 2**30), gpu=gpu)
    if gpu and not here:
        raise ConfigError("accelerator=gpu: none is here; state its memory, as memory_gb=24")
    whole = torch.cuda.get_device_properties(0).total_memory if gpu else _free_memory()
    return PlannedDevice(memory=int(0.8 * whole), gpu=gpu)


def estimate_training_bytes(net: Callable[[], nn.Module], shape: Sequence[int]) -> int:
    """Estimate the memory of a training step on float32 images.

    The sum of all tensors kept for the backward pass, each storage once, times
    `ACTIVATION_OVERHEAD`, and `WEIGHT_COPIES` of the weights. Nothing is computed.

    Args:
        net: makes the net.
        shape: (B, C, *S) of a batch.

    Returns:
        Bytes.
    """
    kept: dict[int, int] = {}
    alive: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept[storage_id(tensor)] = tensor.untyped_storage().nbytes()
        alive.append(tensor)  # a storage that is gone would lend its address to another
        return tensor

    with torch.device("meta"):
        model = net().train()
        image = torch.empty(*shape)
    weights = {storage_id(p) for p in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(image)
    activations = sum(size for key, size in kept.items() if key not in weights)
    parameters = sum(p.numel() * p.element_size() for p in model.parameters())
    return int(ACTIVATION_OVERHEAD * activations + WEIGHT_COPIES * parameters)


def _free_memory() -> int:
    """Of this machine, in bytes; half of all of it where the system does not tell."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in names else "SC_PHYS_PAGES"
    share = 1.0 if pages == "SC_AVPHYS_PAGES" else 0.5
    return int(share * os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE"))
