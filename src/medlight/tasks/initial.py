"""Start from the weights of another run: what fits is taken, the rest is left as it was drawn."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from medlight.core.errors import ConfigError, DataNotFoundError

NET = "net."
"""How the net's weights are called in a checkpoint of a task."""
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Started:
    """What a net took from a checkpoint. Names of tensors, with what is to be said of each.

    Attributes:
        source: the checkpoint.
        loaded: taken over.
        drawn: kept as they were drawn, and why.
        unused: in the checkpoint alone.
    """

    source: Path
    loaded: tuple[str, ...]
    drawn: dict[str, str]
    unused: tuple[str, ...]

    def words(self) -> str:
        """What a user should see, on two or three lines."""
        total = len(self.loaded) + len(self.drawn)
        lines = [f"{len(self.loaded)} of {total} tensors start from {self.source}"]
        if self.drawn:
            lines.append(
                f"  re-initialised: {_some([f'{n} ({w})' for n, w in self.drawn.items()])}"
            )
        if self.unused:
            lines.append(f"  not used: {_some(self.unused)}")
        return "\n".join(lines)

    def table(self) -> str:
        """Every tensor, one a line."""
        lines = [f"loaded {name}" for name in self.loaded]
        lines += [f"re-initialised {name}: {why}" for name, why in self.drawn.items()]
        lines += [f"not used {name}" for name in self.unused]
        return "\n".join(lines) + "\n"


def start_from(net: nn.Module, source: str | Path) -> Started:
    """Copy what has the same name and shape in `source` into a net.

    Args:
        net: changed in place.
        source: a run directory, whose best checkpoint is taken; a checkpoint; or a file with the
            state dict of a net. Of a run with averaged weights the average is taken.

    Raises DataNotFoundError where there is no such file, ConfigError where it cannot be read
    without running code, or where nothing in it fits.
    """
    path = checkpoint_of(source)
    held = weights_of(path)
    own = net.state_dict()
    loaded, drawn = {}, {}
    for name, value in own.items():
        if name not in held:
            drawn[name] = "not in the checkpoint"
        elif held[name].shape != value.shape:
            drawn[name] = f"{_size(value)} here, {_size(held[name])} there"
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
    return Started(path, tuple(loaded), drawn, unused)


def checkpoint_of(source: str | Path) -> Path:
    """The file that a run directory or a path means."""
    path = Path(source).expanduser()
    if path.is_file():
        return path
    folder = path / "checkpoints"
    for name in ("best.ckpt", "last.ckpt"):
        if (folder / name).is_file():
            return folder / name
    what = "holds no checkpoints/best.ckpt" if path.is_dir() else "does not exist"
    raise DataNotFoundError(f"init={source}: it {what}; give a run directory or a checkpoint")


def weights_of(path: Path) -> dict[str, Tensor]:
    """The weights of the net in a checkpoint, on the CPU, by the names the net has for them."""
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ConfigError(
            f"init={path}: not a checkpoint of weights alone, or damaged; save a net of your own "
            "with torch.save(net.state_dict(), path)"
        ) from error
    state = held.get("state_dict", held) if isinstance(held, Mapping) else {}
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    inner = {n.removeprefix(NET): value for n, value in tensors.items() if n.startswith(NET)}
    return inner or tensors


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
