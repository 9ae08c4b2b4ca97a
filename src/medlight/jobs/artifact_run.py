"""Predict with this folder alone: python run.py <image> <mask>; without masks, <image> alone.

Needs numpy, scipy and nibabel (pillow for pictures), and onnxruntime for net.onnx or torch for
net.pt2. It does what artifact.json describes, step by step and plainly: take it as the reference
for an implementation of your own. Several channels: one 4-D file, or <case>_0000.nii.gz with
<case>_0001.nii.gz, ... beside it.
"""

import itertools
import json
import os
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import artifact_read as inputs  # type: ignore[import-not-found]  # noqa: E402

ARTIFACT = json.loads((HERE / "artifact.json").read_text(encoding="utf-8"))


def load_net():
    """(B, C, *S) float32 to logits."""
    if (HERE / "net.onnx").is_file():
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it reports to its maker
        import onnxruntime

        session = onnxruntime.InferenceSession(HERE / "net.onnx")
        return lambda image: session.run(None, {"image": image})[0]
    import torch

    net = torch.export.load(HERE / "net.pt2").module()
    return lambda image: net(torch.from_numpy(image)).detach().numpy()


def read(path):
    """(C, *S) float32, affine in mm, and the header; None for a picture."""
    return inputs.read_image(path, ARTIFACT["input"])[:3]


def reorient(image, affine, codes):
    """Axes in the order and direction of `codes`."""
    from nibabel import orientations as o

    change = o.ornt_transform(o.io_orientation(affine), o.axcodes2ornt(codes))
    moved = np.stack([o.apply_orientation(channel, change) for channel in image])
    return moved, affine @ o.inv_ornt_aff(change, image.shape[1:])


def interpolate_axis(values, axis, places):
    """Linear interpolation at fractional places of one axis; beyond the ends, the ends."""
    places = np.clip(places, 0, values.shape[axis] - 1)
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    weight = (places - below).astype(np.float32)
    weight = weight.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return values.take(below, axis) * (1 - weight) + values.take(above, axis) * weight


def resample(image, affine, spacing_mm):
    """Another voxel size; the first voxel stays where it is. Axes must be at right angles."""
    own = np.linalg.norm(affine[:3, :3], axis=0)
    for axis, (old, new) in enumerate(zip(own, spacing_mm, strict=True)):
        if new and abs(old - new) > 1e-3:
            count = round((image.shape[axis + 1] - 1) / (new / old) + 1)
            image = interpolate_axis(image, axis + 1, np.arange(count) * (new / old))
            affine = affine @ np.diag([new / old if a == axis else 1 for a in range(4)])
    return image, affine


def blur(image, sigma, axis):
    """Gaussian integrated over each pixel, cut off at 4 sigma; zeros outside."""
    from scipy.ndimage import correlate1d
    from scipy.special import erf

    tail = int(max(4 * sigma, 0.5) + 0.5)
    borders = (np.arange(-tail, tail + 2) - 0.5) / (np.sqrt(2) * sigma)
    return correlate1d(image, np.diff(erf(borders)) / 2, axis, mode="constant")


def resize(image, size):
    """Pictures: smooth where it shrinks, then bilinear with pixel borders aligned."""
    shape = image.shape[1:]
    for axis, (old, new) in enumerate(zip(shape, size, strict=True), 1):
        if old > new:
            image = blur(image, (old / new - 1) / 2, axis)
    for axis, (old, new) in enumerate(zip(shape, size, strict=True), 1):
        if old != new:
            image = interpolate_axis(image, axis, (np.arange(new) + 0.5) * old / new - 0.5)
    return image


def prepare(image, affine):
    steps = ARTIFACT["preprocessing"]
    if "orientation" in steps:
        image, affine = reorient(image, affine, steps["orientation"])
    if steps.get("spacing_mm"):
        image, affine = resample(image, affine, steps["spacing_mm"])
    if "slices" in steps:  # from slice to slice, down, across
        image, affine = reorient(image, affine, steps["slices"])
    if steps.get("size") and list(image.shape[1:]) != steps["size"]:
        old, image = image.shape[1:], resize(image, steps["size"])
        for axis, (o, n) in enumerate(zip(old, image.shape[1:], strict=True)):
            move = np.eye(4)
            move[axis, axis], move[axis, 3] = o / n, (o / n - 1) / 2
            affine = affine @ move
    if steps.get("shape") and list(image.shape[1:]) != steps["shape"]:
        sys.exit(f"it has the shape {image.shape[1:]}; the net takes {steps['shape']}: resize it")
    image = image.astype(np.float32)
    for channel, how in zip(image, steps["intensity"], strict=True):
        if how["kind"] == "window":
            channel[:] = np.clip((channel - how["low"]) / (how["high"] - how["low"]), 0, 1)
        elif how["kind"] == "standardise":
            channel[:] = (channel - channel.mean(dtype=np.float64)) / (channel.std() or 1)
    return image, affine


def predict_whole(image, net):
    """Logits of an image that is taken whole: padded at its ends to what the net can take."""
    about = ARTIFACT["window"]
    fit = [n + -n % d for n, d in zip(image.shape[1:], about["divisor"], strict=True)]
    fit = about["net_shape"] or (about["min_size"] if fit == about["divisor"] else fit)
    short = [(0, wanted - n) for n, wanted in zip(image.shape[1:], fit, strict=True)]
    padded = np.pad(image, [(0, 0), *short], constant_values=image.min())
    slices = ARTIFACT["input"].get("slices")  # then a window is one, and the net is 2-D
    logits = net(padded.swapaxes(0, 1)).swapaxes(0, 1) if slices else net(padded[None])[0]
    return logits[(slice(None), *(slice(n) for n in image.shape[1:]))]


def predict_windows(image, net):
    """Logits, blended from overlapping windows by a Gaussian."""
    about, shape = ARTIFACT["window"], image.shape[1:]
    size = about["shape"]
    short = [max(w - n, 0) for n, w in zip(shape, size, strict=True)]
    sides = [(s // 2, s - s // 2) for s in short]
    padded = np.stack([np.pad(each, sides, constant_values=each.min()) for each in image])
    weight = np.ones((), np.float32)
    for n in size:
        offset = (np.arange(n) - (n - 1) / 2) / (n * about["sigma"])
        weight = weight[..., None] * np.exp(-0.5 * offset**2)
    weight = np.maximum(weight, about["least_weight"]).astype(np.float32)
    steps = [max(1, int(w * (1 - about["overlap"]))) for w in size]
    starts = [
        [min(s, n - w) for s in range(0, n - w + step, step)]
        for n, w, step in zip(padded.shape[1:], size, steps, strict=True)
    ]
    total = np.zeros((ARTIFACT["output"]["channels"], *padded.shape[1:]), np.float32)
    weights = np.zeros(padded.shape[1:], np.float32)
    for corner in itertools.product(*starts):
        place = tuple(slice(s, s + w) for s, w in zip(corner, size, strict=True))
        total[(slice(None), *place)] += predict_whole(padded[(slice(None), *place)], net) * weight
        weights[place] += weight
    inside = tuple(slice(a, a + n) for (a, _), n in zip(sides, shape, strict=True))
    return (total / weights)[(slice(None), *inside)]


def to_source(logits, affine, source, shape):
    """Labels on the file's own grid: logits interpolated linearly, background outside."""
    n = len(shape)
    matrix = np.linalg.inv(affine) @ source
    axis_of = np.abs(matrix[:n, :n]).argmax(1)
    inside = np.ones(shape, bool)
    for axis, other in enumerate(axis_of):
        places = matrix[axis, other] * np.arange(shape[other]) + matrix[axis, 3]
        within = (places > -0.501) & (places < logits.shape[axis + 1] - 0.499)
        inside &= within.reshape([-1 if a == other else 1 for a in range(n)])
        logits = interpolate_axis(logits, axis + 1, places)
    labels = to_labels(logits).transpose(np.argsort(axis_of))
    return labels * inside


def activate(values):
    """Outputs of the net to probabilities, or as they are."""
    how = ARTIFACT["output"]["activation"]
    if how == "softmax":
        return np.exp(values - values.max()) / np.exp(values - values.max()).sum()
    return 1 / (1 + np.exp(-values)) if how == "sigmoid" else values


def to_labels(logits):
    """The label with the largest logit; or regions, painted one over the other in their order."""
    if "regions" not in ARTIFACT["output"]:
        return logits.argmax(0).astype(np.uint8)
    labels = np.zeros(logits.shape[1:], np.uint8)
    for region, label in zip(logits, ARTIFACT["output"]["regions"].values(), strict=True):
        labels[region > 0] = label
    return labels


def postprocess(labels, affine):
    """What the validation cases of the training run chose."""
    from scipy import ndimage

    voxel = abs(np.linalg.det(affine[:3, :3])) / 1000 if labels.ndim == 3 else 1.0
    for name, step in ARTIFACT["postprocessing"].items():
        index = ARTIFACT["classes"].index(name)
        parts, _ = ndimage.label(labels == index, np.ones((3,) * labels.ndim))
        sizes = np.append(0, np.bincount(parts.ravel())[1:])
        keep = (sizes * voxel >= step["min_size"]) & (sizes > 0)
        if step["keep_largest"]:
            keep &= np.arange(len(sizes)) == sizes.argmax()
        labels = np.where((labels == index) & ~keep[parts], 0, labels)
        if step["fill_holes"]:
            holes = ndimage.binary_fill_holes(labels == index) & (labels == 0)
            labels = np.where(holes, index, labels)
    return labels.astype(np.uint8)


def write(path, labels, affine, header):
    if header is None:
        from PIL import Image

        return Image.fromarray(labels).save(path)
    import nibabel

    mask = nibabel.Nifti1Image(labels, affine)
    back = np.diag([1 / inputs.mm(header)] * 3 + [1])
    mask.header["xyzt_units"] = header["xyzt_units"]
    mask.set_sform(back @ affine, int(header["sform_code"]))
    qform = inputs.forms(header)[1]
    mask.set_qform(back @ affine if qform is None else qform, int(header["qform_code"]))
    return nibabel.save(mask, path)


def main() -> None:
    path = Path(sys.argv[1])
    image, source, header, notes = inputs.read_image(path, ARTIFACT["input"])
    net = load_net()
    ready, affine = prepare(image, source)
    for note in [*notes, *inputs.oddities(ready, affine, ARTIFACT.get("training", {}))]:
        print(f"{inputs.case_name(path)}{note}", file=sys.stderr)
    if "window" not in ARTIFACT:  # one answer an image
        values = activate(net(ready[None])[0].astype(np.float64))
        print(json.dumps(dict(zip(ARTIFACT["classes"], values.round(6).tolist(), strict=True))))
        return
    predict = predict_windows if ARTIFACT["window"]["shape"] else predict_whole
    labels = to_source(predict(ready, net), affine, source, image.shape[1:])
    write(Path(sys.argv[2]), postprocess(labels, source), source, header)


if __name__ == "__main__":
    main()
