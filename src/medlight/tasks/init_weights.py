"""Start from the weights of another run: what fits is taken, the rest is left as it was drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from medlight.core.errors import ConfigError, DataNotFoundError
from medlight.runs.directory import BEST, RunDirectory
from medlight.tasks.checkpoint import check_checksums

NET_PREFIX = "net."
"""How the net's weights are called in a checkpoint of a task."""
MAX_LISTED = 8


@dataclass(frozen=True, slots=True)
class InitReport:
    """What a net took from a checkpoint. Names of tensors, with what is to be said of each.

    Attributes:
        source: the checkpoint.
        loaded: taken over.
        reinitialised: kept as they were drawn, and why.
        unused: in the checkpoint alone.
    """

    source: Path
    loaded: tuple[str, ...]
    reinitialised: dict[str, str]
    unused: tuple[str, ...]

    def summary(self) -> str:
        """What a user should see, on two or three lines."""
        total = len(self.loaded) + len(self.reinitialised)
        lines = [f"{len(self.loaded)} of {total} tensors start from {self.source}"]
        if self.reinitialised:
            lines.append(
                f"  re-initialised: "
                f"{_abbreviate([f'{n} ({w})' for n, w in self.reinitialised.items()])}"
            )
        if self.unused:
            lines.append(f"  not used: {_abbreviate(self.unused)}")
        return "\n".join(lines)

    def details(self) -> str:
        """Every tensor, one a line."""
        lines = [f"loaded {name}" for name in self.loaded]
        lines += [f"re-initialised {name}: {why}" for name, why in self.reinitialised.items()]
        lines += [f"not used {name}" for name in self.unused]
        return "\n".join(lines) + "\n"


def load_initial_weights(net: nn.Module, source: str | Path) -> InitReport:
    """Copy what has the same name and shape in `source` into a net.

    Args:
        net: changed in place.
        source: a run directory, whose best checkpoint is taken; a checkpoint; or a file with the
            state dict of a net. Of a run with averaged weights the average is taken.

    Raises DataNotFoundError where there is no such file, ConfigError where it cannot be read
    without running code, or where nothing in it fits.
    """
    path = resolve_checkpoint(source)
    held = load_weights(path)
    own = net.state_dict()
    loaded, reinitialised = {}, {}
    for name, value in own.items():
        if name not in held:
            reinitialised[name] = "not in the checkpoint"
        elif held[name].shape != value.shape:
            reinitialised[name] = f"{_format_shape(value)} here, {_format_shape(held[name])} there"
        else:
            loaded[name] = held[name]
    unused = tuple(name for name in held if name not in own)
    if not any(net_weight in loaded for net_weight, _ in net.named_parameters()):
        raise ConfigError(
            f"init={source}: nothing in {path.name} fits {type(net).__name__}, whose first weight "
            f"is {next(iter(own), 'none')}; there it is {next(iter(held), 'none')}: choose the "
            "model that was trained"
        )
    net.load_state_dict(loaded, strict=False)
    return InitReport(path, tuple(loaded), reinitialised, unused)


def resolve_checkpoint(source: str | Path) -> Path:
    """Find the file that a run directory, by its best checkpoint, or a path means.

    Raises:
        DataNotFoundError: there is none.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path
    try:
        return RunDirectory(path).checkpoint(BEST)
    except DataNotFoundError as error:
        what = "holds no checkpoints/best.ckpt" if path.is_dir() else "does not exist"
        raise DataNotFoundError(
            f"init={source}: it {what}; give a run directory or a checkpoint"
        ) from error


def load_weights(path: Path) -> dict[str, Tensor]:
    """The weights of the net in a checkpoint, on the CPU, by the names the net has for them."""
    check_checksums(path)
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler stumbles on
        raise ConfigError(
            f"init={path}: not a checkpoint of weights alone, or damaged; save a net of your own "
            "with torch.save(net.state_dict(), path)"
        ) from error
    state = held.get("state_dict", held) if isinstance(held, Mapping) else {}
    tensors = {
        name: value
        for name, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    inner = {
        n.removeprefix(NET_PREFIX): value
        for n, value in tensors.items()
        if n.startswith(NET_PREFIX)
    }
    return inner or tensors


def _format_shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _abbreviate(names: list[str] | tuple[str, ...]) -> str:
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
