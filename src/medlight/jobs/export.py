"""One folder that predicts without medlight: the net, and what is around it, described."""

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

import medlight
from medlight.core.errors import ConfigError, ExportError, MissingExtraError
from medlight.core.intensity import IntensityStatistics
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.atomic import atomic_path
from medlight.jobs.model_card import model_card
from medlight.jobs.verb import verb
from medlight.nets.input_size import InputSize
from medlight.runs.files import write_text
from medlight.tasks.trained_model import LoadModel, TrainedModel
from medlight.transforms.slices import CODES

log = logging.getLogger(__name__)

Format = Literal["onnx", "torch_export"]
FILES = {"onnx": "net.onnx", "torch_export": "net.pt2"}
TOLERANCE = 1e-3
"""How far an output may lie from the checkpoint's, as a share of their standard deviation."""
MIN_LABEL_AGREEMENT = 0.9999
NOISY_LOGGERS = ("onnxscript", "onnx_ir", "torch.onnx")  # one warns that torchvision is not there
RUNNER = {"run.py": "artifact_run.py", "artifact_read.py": "artifact_read.py"}
"""Programs of the folder, and what they are called here."""
FORMAT = 3


@verb("run", "load")
def export(
    *,
    run: Path,
    load: LoadModel,
    inference: SlidingWindow,
    format: Format = "onnx",  # noqa: A002  # what users type
    checkpoint: str = "best",
    output: Path | None = None,
) -> None:
    """Write the artifact of a run, and compare its net with the checkpoint's before it counts.

    Args:
        run: a run directory.
        load: reads a run.
        inference: windows, as they are to be described.
        format: "onnx" (the extra `onnx`) or "torch_export".
        checkpoint: "best", "last", or a path.
        output: folder to write to; None: `export/<format>` of the run.

    Raises:
        ExportError: the exported net answers otherwise; its file is removed.
        DataError: what the run wrote about itself is damaged.
        ConfigError: there is no such format, or the transforms cannot be described.
        MissingExtraError: the extra `onnx` is not installed.
    """
    if format not in FILES:
        raise ConfigError(f"job.format must be onnx or torch_export, got {format}")
    model = load(run, checkpoint)
    if model.spec.slices and not model.spec.labels.per_voxel:
        raise ConfigError(
            f"{model.name} classifies slices of volumes, which no export does; type "
            f"medlight predict run={run} input=<volumes>"
        )
    described = describe_artifact(model, inference)
    card = model_card(run, model, described.get("postprocessing", {}))
    folder = Path(output).expanduser() if output else run / "export" / format
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    net = _Net(model.task.net).cpu().eval()
    net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    path = folder / FILES[format]
    images = example_input(model)
    with atomic_path(path) as part:
        with torch.no_grad():
            (_to_onnx if format == "onnx" else _to_torch)(
                net, images, part, dynamic_shapes=_dynamic_shapes(model)
            )
        parity = check_parity(net, _load_exported(part), images, model.task.decide)
    about = {
        "medlight": medlight.__version__,
        "run": model.name,
        "checkpoint": model.digest,
        "net": path.name,
        **described,
        "parity": parity,
    }
    write_text(folder / "artifact.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    for name, source in RUNNER.items():
        write_text(folder / name, Path(__file__).with_name(source).read_text(encoding="utf-8"))
    write_text(folder / "MODEL_CARD.md", card)
    agreement = parity["label_agreement"]
    log.info(
        "%s equals the checkpoint: outputs to %.2g of their spread%s",
        path.name,
        parity["max_difference"],
        "" if agreement is None else f", {agreement:.4%} of labels",
    )


class _Net(nn.Module):
    """The bare net, with a name for what goes in."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.net(image)
        return logits


def example_input(model: TrainedModel) -> Tensor:
    """(2, C, *S) noise of a shape the net takes: two, or the exporter takes one for granted."""
    spec = model.spec
    shape = _fixed_shape(model) or (64,) * spec.spatial_dims
    generator = torch.Generator().manual_seed(0)
    fitting = input_size_of(model).round_up(shape)
    return torch.randn(2, spec.channels, *fitting, generator=generator)


def _fixed_shape(model: TrainedModel) -> Sequence[int] | None:
    """The shape of all that the net gets: patches, what images are resized to, or the one shape
    of the images that a classifier was trained on."""
    spec = model.spec
    size: Sequence[int] | None = model.recipe.get("size")
    return spec.patch or size or (None if spec.labels.per_voxel else spec.shape)


def _dynamic_shapes(model: TrainedModel) -> Mapping[int, Any]:
    """Axes of the input that may have other sizes: the batch, and all where images keep their own,
    which differ."""
    dynamic_shapes: dict[int, Any] = {0: torch.export.Dim("batch", min=1)}
    if _fixed_shape(model) is None:
        for axis, step in enumerate(input_size_of(model).divisor, 2):
            blocks, size = f"blocks_{axis}", f"size_{axis}"
            dynamic_shapes[axis] = (
                step * torch.export.Dim(blocks, min=1)
                if step > 1
                else torch.export.Dim(size, min=8)
            )
    return dynamic_shapes


def _to_onnx(
    net: nn.Module, images: Tensor, path: Path, *, dynamic_shapes: Mapping[int, Any]
) -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "format=onnx needs the extra onnx: pip install 'medlight[onnx]'; or type "
            "format=torch_export"
        ) from error
    torch.onnx.export(
        net, (images,), path, input_names=["image"], output_names=["logits"],
        dynamo=True, dynamic_shapes={"image": dict(dynamic_shapes)}, external_data=False,
        verbose=False,
    )  # fmt: skip


def _to_torch(
    net: nn.Module, images: Tensor, path: Path, *, dynamic_shapes: Mapping[int, Any]
) -> None:
    program = torch.export.export(net, (images,), dynamic_shapes={"image": dict(dynamic_shapes)})
    torch.export.save(program, path)


def _load_exported(path: Path) -> Any:
    """The net as its file has it."""
    if path.suffix == ".onnx":
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import: it reports home
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda image: torch.from_numpy(session.run(None, {"image": image.numpy()})[0])
    return torch.export.load(path).module()


def check_parity(
    net: nn.Module, exported: Any, images: Tensor, decide: Callable[[Tensor], Tensor | None]
) -> dict[str, float | None]:
    """Compare two nets on a batch and on each image alone.

    Args:
        net, exported: (B, C, *S) images to (B, K, ...) outputs.
        images: (2, C, *S).
        decide: the output of one image to its labels, or to None if it is numbers.

    Returns:
        The largest difference as a share of the outputs' spread, the share of labels that are the
        same (None if there are no labels), and what is tolerated.

    Raises:
        ExportError: they disagree.
    """
    differences, agreed = [], []
    with torch.no_grad():
        for batch in (images, images[:1], images[1:] * 3):
            ours, theirs = net(batch), exported(batch)
            spread = ours.std() if ours.numel() > 1 else ours.abs().max()
            differences.append((ours - theirs).abs().max() / (float(spread) or 1.0))
            for one, other in zip(map(decide, ours), map(decide, theirs), strict=True):
                if one is not None and other is not None:
                    agreed.append(float((one == other).float().mean()))
    largest = float(torch.stack(differences).max())  # nan stays nan
    equal = min(agreed, default=None)
    if not largest <= TOLERANCE or (equal is not None and equal < MIN_LABEL_AGREEMENT):
        labels = "" if equal is None else f", {equal:.2%} of labels agree"
        raise ExportError(
            f"the exported net does not equal the checkpoint: outputs differ by {largest:.3g} of "
            f"their spread{labels}; try the other format"
        )
    return {"max_difference": largest, "label_agreement": equal, "tolerance": TOLERANCE}


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
            "spatial_dims": spec.image_dims,
            "slices": bool(spec.slices),
            "channels": spec.channels,
            "modality": list(spec.modality),
        },
        "training": {
            key: list(getattr(spec, key))
            for key in ("spacing_low_mm", "spacing_high_mm", "brightest")
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
    slices = model.spec.slices
    if slices and getattr(model.transforms, "recipe", {}).get("preset") != "volume":
        raise ConfigError("slices of volumes are exported with transforms=volume only")
    if model.transforms is None:
        return {"intensity": [{"kind": "unchanged"}] * model.spec.channels}
    recipe = {k: v for k, v in model.transforms.recipe.items() if v is not None}
    if recipe.get("preset") not in ("volume", "radiograph"):
        raise ConfigError(
            f"transforms of the kind {recipe.get('preset')!r} cannot be described in an artifact"
        )
    if slices:
        recipe["slices"] = CODES[slices]
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
    shape = None if model.spec.patch else _fixed_shape(model)
    return {**recipe, "shape": None if shape is None else list(shape), "intensity": kinds}


def _statistics(channels: int) -> IntensityStatistics:
    """Of images with mean 5 and deviation 2: nothing that a map could leave as it is."""
    ones = np.ones(channels)
    spread = np.tile(np.arange(1.0, 10.0, 2.0), (channels, 1))
    return IntensityStatistics(minimum=ones, maximum=9 * ones, mean=5 * ones, std=2 * ones,
                      percentiles=spread)  # fmt: skip
