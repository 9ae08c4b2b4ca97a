"""What an exported net does not say: how images become its input, and what its output means."""

from typing import Any

import numpy as np

from medlight.core.errors import ConfigError
from medlight.core.intensity import IntensityStatistics
from medlight.inference.sliding_window import SlidingWindow
from medlight.nets.input_size import InputSize
from medlight.tasks.trained_model import TrainedModel

FORMAT = 3


def describe_artifact(model: TrainedModel, inference: SlidingWindow) -> dict[str, Any]:
    """Plain data: all that `artifact_run.py` needs to know.

    Raises:
        ConfigError: the transforms cannot be described.
    """
    spec = model.spec
    return {
        "format": FORMAT,
        "classes": list(spec.labels.names),
        "input": {
            "spatial_dims": spec.spatial_dims,
            "channels": spec.channels,
            "modality": list(spec.modality),
        },
        "preprocessing": preprocessing(model),
        **model.task.outcome.describe_export(model, inference),
    }


def input_size_of(model: TrainedModel) -> InputSize:
    """The sizes a net takes; any, where a task does not say."""
    ones = (1,) * model.spec.spatial_dims
    return getattr(model.task, "input_size", None) or InputSize(ones, ones)


def preprocessing(model: TrainedModel) -> dict[str, Any]:
    """The geometry of the preset, and what becomes of each channel's intensities.

    A preset tells its map when it is asked about images whose statistics are known: a window has
    bounds, and does not depend on them.
    """
    if model.transforms is None:
        return {"intensity": [{"kind": "unchanged"}] * model.spec.channels}
    recipe = {k: v for k, v in model.transforms.recipe.items() if v is not None}
    if recipe.get("preset") not in ("volume", "radiograph"):
        raise ConfigError(
            f"transforms of the kind {recipe.get('preset')!r} cannot be described in an artifact"
        )
    channels = model.spec.channels
    seen = model.transforms.intensity(_statistics(channels), model.spec.modality)
    kinds: list[dict[str, Any]] = []
    for scale, shift, low in zip(seen.scale, seen.shift, seen.low, strict=True):
        if np.isfinite(low):
            bottom, top = -shift / scale, (1 - shift) / scale
            kinds.append({"kind": "window", "low": float(bottom), "high": float(top)})
        elif (scale, shift) == (1.0, 0.0):
            kinds.append({"kind": "unchanged"})
        else:
            kinds.append({"kind": "standardise"})
    return {**recipe, "intensity": kinds}


def _statistics(channels: int) -> IntensityStatistics:
    """Of images with mean 5 and deviation 2: nothing that a map could leave as it is."""
    ones = np.ones(channels)
    spread = np.tile(np.arange(1.0, 10.0, 2.0), (channels, 1))
    return IntensityStatistics(minimum=ones, maximum=9 * ones, mean=5 * ones, std=2 * ones,
                      percentiles=spread)  # fmt: skip
