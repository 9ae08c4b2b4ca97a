"""What an exported net that labels voxels does not say: windows, and the way back to the file."""

from typing import Any

from medlight.inference.heads import SigmoidHead, region_class_order
from medlight.inference.sliding_window import MIN_WEIGHT, SIGMA_SCALE, SlidingWindow
from medlight.nets.input_size import InputSize
from medlight.tasks.trained_model import TrainedModel, shared_postprocessing


def describe_windows(model: TrainedModel, inference: SlidingWindow) -> dict[str, Any]:
    """Plain data for `artifact_run.py`: logits to labels, windows, and post-processing."""
    spec, head = model.spec, model.head
    task: Any = model.task
    size: InputSize = task.input_size
    output: dict[str, Any] = {"channels": len(spec.labels), "label": "of the largest"}
    if isinstance(head, SigmoidHead):
        output = {
            "channels": len(head.regions),
            "label": "of the last region whose logit is above 0; else background",
            "regions": dict(zip(head.regions, region_class_order(head.regions), strict=True)),
        }
    return {
        "output": output,
        "window": {
            "shape": None if spec.patch is None else list(spec.patch),
            "overlap": inference.overlap,
            "weight": "gaussian",
            "sigma": SIGMA_SCALE,
            "least_weight": MIN_WEIGHT,
            "padding": "smallest value of each channel, on both sides",
            "net_shape": None if spec.patch is None else list(size.round_up(spec.patch)),
            "divisor": list(size.divisor),
            "min_size": list(size.min_size),
            "mirrored_in_training": list(spec.mirror_axes),
        },
        "inversion": {
            "interpolation": "linear, of logits; then the label",
            "grid": "of the input file",
            "outside": spec.labels.names[0],
        },
        "postprocessing": shared_postprocessing([model]).as_dict(),
    }
