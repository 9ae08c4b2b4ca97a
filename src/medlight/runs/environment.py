"""What a run ran on: code, hardware, command and memory, without naming host or user."""

import itertools
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

import medlight
from medlight.compat.torch import uncompiled

PACKAGES = ("torch", "pytorch-lightning", "monai", "numpy")
MB = 1024**2


def code_version() -> dict[str, Any]:
    """Versions, and the commit where medlight runs from a checkout (null from a wheel)."""
    root = Path(medlight.__file__).parents[2]
    commit = run_git(root, "rev-parse", "HEAD")
    changes = None if commit is None else run_git(root, "status", "--porcelain")
    return {
        "medlight": medlight.__version__,
        "commit": commit,
        "dirty": None if changes is None else bool(changes),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def run_git(root: Path, *args: str) -> str | None:
    """What git answers; None where there is no checkout, or no git."""
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *args], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def hardware_info(trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
    on_cuda = pl_module.device.type == "cuda"
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "accelerator": pl_module.device.type,
        "device": torch.cuda.get_device_name(pl_module.device) if on_cuda else cpu_name(),
        "devices": trainer.world_size,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
    }


def cpu_name() -> str:
    """The model of the processor, where the system tells."""
    listing = Path("/proc/cpuinfo")
    text = listing.read_text() if listing.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def net_info(pl_module: pl.LightningModule) -> dict[str, Any]:
    module: Any = pl_module.net
    return {
        "class": type(module).__name__,
        "parameters": sum(p.numel() for p in module.parameters()),
    }


def forward_flops(pl_module: pl.LightningModule, shape: Sequence[int]) -> int | None:
    """Floating-point operations of one forward pass of a sample (C, *S), as torch counts them:
    a multiplication with its addition is two. Nothing is computed and no state of the net changes:
    weights and input have a shape only. None for a net that cannot be run so.
    """
    net: Any = uncompiled(pl_module.net)
    state = {  # of each layer once: torch would not put back one that a net lists under two names
        f"{name}.{key}".lstrip("."): torch.empty_like(tensor, device="meta")
        for name, layer in net.named_modules()
        for key, tensor in itertools.chain(
            layer.named_parameters(recurse=False), layer.named_buffers(recurse=False)
        )
    }
    input_size = getattr(
        pl_module, "input_size", None
    )  # those the net takes: a segmenter pads to them
    spatial = input_size.round_up(shape[1:]) if input_size else shape[1:]
    image = torch.empty((2, shape[0], *spatial), device="meta")
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad():
            functional_call(net, state, image, tie_weights=False)
    except Exception:  # whatever a net of the user's says: a number less is no reason to stop
        return None
    return counter.get_total_flops() // 2


def command_line() -> list[str]:
    """The words that started this process, the program by its plain name."""
    script = Path(sys.argv[0])
    program = (
        ["python", "-m", script.parent.name] if script.name == "__main__.py" else [script.name]
    )
    return [*program, *sys.argv[1:]]


def peak_memory_mb() -> dict[str, int]:
    """Largest resident size of this process, and most memory of the CUDA device."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // MB}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        peak["cuda"] = torch.cuda.max_memory_allocated() // MB
    return peak
