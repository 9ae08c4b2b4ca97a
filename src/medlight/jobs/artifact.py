"""What an exported net does not say: how images become its input, and its output a mask."""

from typing import Any

import numpy as np

from medlight.core.errors import ConfigError
from medlight.core.intensity import Statistics
from medlight.inference.heads import Regions
from medlight.inference.regions import painted
from medlight.inference.sliding_window import LEAST_WEIGHT, SIGMA, SlidingWindow
from medlight.jobs.trained import Trained
from medlight.nets.divisor import Sizes

FORMAT = 2
TASKS = {"mask": "segmentation", "class": "classification", "findings": "findings"}


def describe(model: Trained, inference: SlidingWindow, mends: dict[str, Any]) -> dict[str, Any]:
    """Plain data: all that `artifact_run.py` needs to know.

    ConfigError for transforms that cannot be described.
    """
    facts = model.facts
    about = {
        "format": FORMAT,
        "task": TASKS[facts.labels.kind],
        "classes": list(facts.labels.names),
        "input": {
            "spatial_dims": facts.spatial_dims,
            "channels": facts.channels,
            "modality": list(facts.modality),
        },
        "preprocessing": preprocessing(model),
    }
    if about["task"] != "segmentation":
        return about
    sizes, head = sizes_of(model), model.head
    output: dict[str, Any] = {"channels": len(facts.labels), "label": "of the largest"}
    if isinstance(head, Regions):
        output = {
            "channels": len(head.regions),
            "label": "of the last region whose logit is above 0; else background",
            "regions": dict(zip(head.regions, painted(head.regions), strict=True)),
        }
    return about | {
        "output": output,
        "window": {
            "shape": None if facts.patch is None else list(facts.patch),
            "overlap": inference.overlap,
            "weight": "gaussian",
            "sigma": SIGMA,
            "least_weight": LEAST_WEIGHT,
            "padding": "smallest value of each channel, on both sides",
            "net_shape": None if facts.patch is None else list(sizes.fit(facts.patch)),
            "divisor": list(sizes.divisor),
            "smallest": list(sizes.smallest),
            "mirrored_in_training": list(facts.mirrored),
        },
        "inversion": {
            "interpolation": "linear, of logits; then the label",
            "grid": "of the input file",
            "outside": facts.labels.names[0],
        },
        "postprocessing": mends,
    }


def sizes_of(model: Trained) -> Sizes:
    """The sizes a net takes; any, where a task does not say."""
    ones = (1,) * model.facts.spatial_dims
    return getattr(model.task, "sizes", None) or Sizes(ones, ones)


def preprocessing(model: Trained) -> dict[str, Any]:
    """The geometry of the preset, and what becomes of each channel's intensities.

    A preset tells its map when it is asked about images whose statistics are known: a window has
    bounds, and does not depend on them.
    """
    if model.transforms is None:
        return {"intensity": [{"kind": "unchanged"}] * model.facts.channels}
    recipe = {k: v for k, v in model.transforms.recipe.items() if v is not None}
    if recipe.get("preset") not in ("volume", "radiograph"):
        raise ConfigError(
            f"transforms of the kind {recipe.get('preset')!r} cannot be described in an artifact"
        )
    channels = model.facts.channels
    seen = model.transforms.intensity(_statistics(channels), model.facts.modality)
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


def _statistics(channels: int) -> Statistics:
    """Of images with mean 5 and deviation 2: nothing that a map could leave as it is."""
    ones = np.ones(channels)
    spread = np.tile(np.arange(1.0, 10.0, 2.0), (channels, 1))
    return Statistics(minimum=ones, maximum=9 * ones, mean=5 * ones, std=2 * ones,
                      percentiles=spread)  # fmt: skip
