"""What an exported net does not say: how images become its input, and its output a mask."""

from typing import Any

import numpy as np

from medlight.core.errors import ConfigError
from medlight.core.intensity import IntensityStatistics
from medlight.inference.heads import SigmoidHead, region_class_order
from medlight.inference.sliding_window import MIN_WEIGHT, SIGMA_SCALE, SlidingWindow
from medlight.jobs.trained_model import TrainedModel
from medlight.nets.input_size import InputSize

FORMAT = 2
TASKS = {"mask": "segmentation", "multiclass": "classification", "multilabel": "multilabel"}


def describe_artifact(
    model: TrainedModel, inference: SlidingWindow, postprocessing: dict[str, Any]
) -> dict[str, Any]:
    """Plain data: all that `artifact_run.py` needs to know.

    ConfigError for transforms that cannot be described.
    """
    spec = model.spec
    about = {
        "format": FORMAT,
        "task": TASKS[spec.labels.kind],
        "classes": list(spec.labels.names),
        "input": {
            "spatial_dims": spec.spatial_dims,
            "channels": spec.channels,
            "modality": list(spec.modality),
        },
        "preprocessing": preprocessing(model),
    }
    if about["task"] != "segmentation":
        return about
    input_size, head = input_size_of(model), model.head
    output: dict[str, Any] = {"channels": len(spec.labels), "label": "of the largest"}
    if isinstance(head, SigmoidHead):
        output = {
            "channels": len(head.regions),
            "label": "of the last region whose logit is above 0; else background",
            "regions": dict(zip(head.regions, region_class_order(head.regions), strict=True)),
        }
    return about | {
        "output": output,
        "window": {
            "shape": None if spec.patch is None else list(spec.patch),
            "overlap": inference.overlap,
            "weight": "gaussian",
            "sigma": SIGMA_SCALE,
            "least_weight": MIN_WEIGHT,
            "padding": "smallest value of each channel, on both sides",
            "net_shape": None if spec.patch is None else list(input_size.round_up(spec.patch)),
            "divisor": list(input_size.divisor),
            "min_size": list(input_size.min_size),
            "mirrored_in_training": list(spec.mirror_axes),
        },
        "inversion": {
            "interpolation": "linear, of logits; then the label",
            "grid": "of the input file",
            "outside": spec.labels.names[0],
        },
        "postprocessing": postprocessing,
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
