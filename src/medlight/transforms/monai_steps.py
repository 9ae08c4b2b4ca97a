"""Which of MONAI's dictionary transforms may be named in yaml, and how they are written.

Nothing heavy is imported here: the command line looks names up.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from medlight.core.errors import ConfigError, MissingExtraError

HOME = "monai.transforms"
NAMES = {
    "spatial": (
        "Affined BorderPadd CenterScaleCropd CenterSpatialCropd CropForegroundd DivisiblePadd "
        "Flipd Orientationd Resized ResizeWithPadOrCropd Rotate90d Rotated Spacingd SpatialCropd "
        "SpatialPadd Zoomd"
    ),
    "intensity": (
        "AdjustContrastd ClipIntensityPercentilesd ForegroundMaskd GaussianSharpend "
        "GaussianSmoothd GibbsNoised HistogramNormalized KSpaceSpikeNoised MaskIntensityd "
        "MedianSmoothd NormalizeIntensityd SavitzkyGolaySmoothd ScaleIntensityRanged "
        "ScaleIntensityRangePercentilesd ScaleIntensityd ShiftIntensityd SignalFillEmptyd "
        "StdShiftIntensityd ThresholdIntensityd"
    ),
    "labels": "FillHolesd KeepLargestConnectedComponentd RemoveSmallObjectsd",
    "plain": "CastToTyped EnsureChannelFirstd EnsureTyped Identityd ToTensord",
    "random intensity": (
        "RandAdjustContrastd RandBiasFieldd RandCoarseDropoutd RandCoarseShuffled "
        "RandGaussianNoised RandGaussianSharpend RandGaussianSmoothd RandGibbsNoised "
        "RandHistogramShiftd RandKSpaceSpikeNoised RandRicianNoised "
        "RandScaleIntensityFixedMeand RandScaleIntensityd RandShiftIntensityd "
        "RandSimulateLowResolutiond RandStdShiftIntensityd"
    ),
    "random spatial": (
        "Rand2DElasticd Rand3DElasticd RandAffined RandAxisFlipd RandFlipd RandGridDistortiond "
        "RandRotate90d RandRotated RandZoomd"
    ),
}
"""All that may be named, by kind. What is spatial notes in the affine how it moves voxels: by it,
predictions find their way back. What is plain changes how numbers are held and nothing else."""
KIND = {name: kind for kind, names in NAMES.items() for name in names.split()}

_INSTEAD = {
    "LoadImaged": "medlight reads the files; leave this step out",
    "Transposed": "it does not note in the affine what it does; type Orientationd",
    "GridDistortiond": "it cannot be undone; type RandGridDistortiond among augment's steps",
    "ConvertToMultiChannelBasedOnBratsClassesd": "type data.regions, which scores and learns them",
    "MapLabelValued": "masks that are predicted and tested have the numbers of the files; type "
    "data.regions to merge labels, or change the files",
    "LabelFilterd": "tests score every label of the files; change the files, or type data.ignore",
    "AsDiscreted": "masks are labels, and losses encode them",
    "RandCropByPosNegLabeld": "type data.patch and data.foreground_oversampling",
    "RandCropByLabelClassesd": "type data.patch and data.foreground_oversampling",
    "RandSpatialCropd": "type data.patch",
    "RandSpatialCropSamplesd": "type data.patch and data.epoch_samples",
    "RandWeightedCropd": "type data.patch and data.foreground_oversampling",
    "RandScaleCropd": "type data.patch, and RandZoomd after it",
    "GridPatchd": "type data.patch; prediction cuts windows by itself",
    "RandGridPatchd": "type data.patch",
}
_NEED_SKIMAGE = ("ForegroundMaskd", "KeepLargestConnectedComponentd", "RemoveSmallObjectsd")
_NAMED_KEYS = ("keys", "source_key", "label_key", "mask_key", "selected_keys")
_ALIASES = {"label": "mask"}
KEYS = ("image", "mask")


def checked_step(step: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Check that a step may be used.

    Args:
        step: `{_target_: monai.transforms.<name>, ...}`.
        number: of the step, for messages.

    Returns:
        The step as plain containers, with masks called mask.

    Raises:
        ConfigError: it is no step, or may not be used.
    """
    if not isinstance(step, Mapping):
        raise ConfigError(
            f"step {number} arrived as an object, {type(step).__name__}; write _recursive_: false "
            f"beside the _target_ that takes the steps"
        )
    plain = _plain(step)
    if "_target_" not in plain:
        raise ConfigError(f"step {number} must be {{_target_: {HOME}.<name>, ...}}, got {plain!r}")
    for target in _targets(plain):
        home, _, name = target.rpartition(".")
        if name in _INSTEAD:
            raise ConfigError(f"step {number}: {name} cannot be used here: {_INSTEAD[name]}")
        if home not in ("", HOME) or name not in KIND:
            raise ConfigError(
                f"step {number}: {target} is none of the MONAI steps that may be named; "
                f"docs/transforms.md lists them"
            )
    keys = plain.get("keys", [])
    unknown = {keys} - set(KEYS) if isinstance(keys, str) else set(keys) - set(KEYS)
    if unknown or not keys:
        raise ConfigError(
            f"step {number}, {step_name(plain)}: keys must be among image and mask, got {keys!r}"
        )
    _check_use_of_mask(plain, f"step {number}, {step_name(plain)}")
    return plain


def _check_use_of_mask(step: Mapping[str, Any], name: str) -> None:
    """ConfigError for a step that makes images by their labels, or labels of other numbers."""
    if step_name(step) in _NEED_SKIMAGE and find_spec("skimage") is None:
        raise MissingExtraError(f"{name} needs: pip install scikit-image")
    if is_random(step):
        return
    for key, value in step.items():
        if key.endswith("_key") and value == "mask":
            raise ConfigError(
                f"{name}: {key}: label would change images by their truth, which tests must not "
                f"see and predictions do not have; write {key}: image, or type data.patch and "
                f"data.foreground_oversampling for patches around labels"
            )
    if KIND[step_name(step)] == "intensity" and "mask" in step["keys"]:
        raise ConfigError(
            f"{name} would change the numbers of labels, which stay as they are in tests; write "
            f"keys: image"
        )


def _plain(node: Any) -> Any:
    """Dicts and lists, with the key of masks by its own name."""
    if isinstance(node, Mapping):
        return {
            str(key): _renamed(value) if key in _NAMED_KEYS else _plain(value)
            for key, value in node.items()
        }
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_plain(value) for value in node]
    return node


def _renamed(keys: Any) -> Any:
    if isinstance(keys, str):
        return _ALIASES.get(keys, keys)
    return [_ALIASES.get(key, key) for key in keys] if isinstance(keys, Sequence) else keys


def _targets(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [name for value in node.values() for name in _targets(value)]
    return [name for value in node for name in _targets(value)] if isinstance(node, list) else []


def step_name(step: Mapping[str, Any]) -> str:
    """The name of a step's class."""
    return str(step["_target_"]).rpartition(".")[2]


def is_random(step: Mapping[str, Any]) -> bool:
    """Whether a step is another each time."""
    return KIND[step_name(step)].startswith("random")
