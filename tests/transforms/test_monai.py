"""MONAI's steps in yaml: what may be named, what is stored, and the way back to the source."""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from medlight.core.errors import ConfigError, DataError, MissingExtraError
from medlight.core.grid import Grid
from medlight.core.sample import Sample
from medlight.inference.resample_to_source import resample_to_source
from medlight.inference.sliding_window import Slabs
from medlight.io.read import read_image, read_mask
from medlight.transforms.monai import Pipeline, RandomSteps
from medlight.transforms.monai_steps import KIND

BOTH = ["image", "mask"]


def step(name: str, keys: Any = "image", **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"monai.transforms.{name}", "keys": keys, **arguments}


EXACT = [
    step("EnsureChannelFirstd", BOTH),
    step("Orientationd", ["image", "label"], axcodes="PIR"),
    step("CropForegroundd", BOTH, source_key="image"),
    step("Flipd", BOTH, spatial_axis=1),
    step("Rotate90d", BOTH, spatial_axes=[0, 2]),
    step("SpatialPadd", BOTH, spatial_size=[30, 30, 30]),
    step("CenterSpatialCropd", BOTH, roi_size=[26, 26, 26]),
    step("NormalizeIntensityd", nonzero=True, channel_wise=True),
]
RESAMPLED = [
    step("Spacingd", BOTH, pixdim=[1.3, 1.7, 2.2], mode=["bilinear", "nearest"]),
    step("Zoomd", BOTH, zoom=1.2, mode=["trilinear", "nearest-exact"], keep_size=False),
    step("Resized", BOTH, spatial_size=[24, 28, 20], mode=["trilinear", "nearest-exact"]),
    step("Rotated", BOTH, angle=[0.3, 0.1, 0.2], keep_size=False, mode=["bilinear", "nearest"]),
]
TURNS = [(order, signs) for order in permutations(range(3)) for signs in ((1, 1, 1), (-1, 1, -1))]


def sample(order: tuple[int, ...] = (0, 1, 2), signs: tuple[int, ...] = (1, 1, 1)) -> Sample:
    """A ball off the centre, stored with its axes in some order and direction."""
    at = np.stack(np.meshgrid(*(np.arange(n) for n in (20, 22, 18)), indexing="ij"))
    away = np.sqrt((((at.T - (8, 12, 9)) / (5, 6, 4)) ** 2).sum(-1)).T
    affine = np.diag([1.0, 1.5, 2.0, 1.0])
    for axis, sign in enumerate(signs):
        if sign < 0:
            affine[:3, 3] += affine[:3, axis] * (at.shape[axis + 1] - 1)
            affine[:3, axis] *= -1
    flips = tuple(slice(None, None, sign) for sign in signs)
    values = [np.ascontiguousarray(np.transpose(v[flips], order))
              for v in (np.where(away < 1.6, 300 - 100 * away, 0), away < 1)]  # fmt: skip
    affine[:, :3] = affine[:, list(order)]
    return {
        "image": torch.from_numpy(values[0][np.newaxis].astype(np.float32)),
        "mask": torch.from_numpy(values[1][np.newaxis].astype(np.uint8)),
        "grid": Grid(values[0].shape, affine),
    }


def home(moved: Sample, source: Grid) -> np.ndarray:
    """The mask of the net's grid on the source grid, as predictions are brought there."""
    logits = torch.nn.functional.one_hot(moved["mask"][0].long(), 2).movedim(-1, 0).float()
    found: np.ndarray = resample_to_source(Slabs(0, iter([logits])), moved["grid"], source).labels
    return found


def inverted(pipeline: Pipeline, given: Sample) -> np.ndarray:
    """The same by MONAI's own inverse."""
    affine = torch.from_numpy(given["grid"].affine)
    held = {
        key: MetaTensor(given[key].float(), affine=affine, meta={"original_channel_dim": 0})  # type: ignore[literal-required]
        for key in BOTH
    }
    back = pipeline._compose.inverse(pipeline._compose(held))
    return np.asarray(back["mask"].as_tensor()[0])


def dice(a: Any, b: Any) -> float:
    a, b = np.asarray(a), np.asarray(b)
    return float(2 * ((a > 0) & (b > 0)).sum() / ((a > 0).sum() + (b > 0).sum()))


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_masks_find_home_as_monai_inverts(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    given = sample(order, signs)
    pipeline = Pipeline(steps=EXACT)
    moved = pipeline.geometry(given)
    assert moved["grid"].shape == (26, 26, 26)
    np.testing.assert_array_equal(home(moved, given["grid"]), given["mask"][0])
    np.testing.assert_array_equal(inverted(pipeline, given), given["mask"][0])
    for steps in RESAMPLED:
        pipeline = Pipeline(steps=[EXACT[1], steps])
        ours, theirs = home(pipeline.geometry(given), given["grid"]), inverted(pipeline, given)
        assert dice(ours, theirs) > 0.9
        assert dice(ours, given["mask"][0]) > dice(theirs, given["mask"][0]) - 0.01 > 0.9


def test_the_mask_of_a_real_ct_finds_home(real_data: Path) -> None:
    folder = real_data / "spleen_crop"
    image, grid = read_image(folder / "spleen_2.nii.gz")
    mask, _ = read_mask(folder / "spleen_2_label.nii.gz")
    given: Sample = {
        "image": torch.from_numpy(image),
        "mask": torch.from_numpy(mask.astype(np.uint8)),
        "grid": grid,
    }
    exact = Pipeline(steps=EXACT[:5])
    np.testing.assert_array_equal(home(exact.geometry(given), grid), mask[0])
    steps = [step("Spacingd", BOTH, pixdim=[1.5, 1.5, 2.0], mode=["bilinear", "nearest"])]
    pipeline = Pipeline(steps=[*EXACT[:3], *steps])
    ours, theirs = home(pipeline.geometry(given), grid), inverted(pipeline, given)
    assert dice(ours, theirs) > 0.97
    assert dice(ours, mask[0]) > dice(theirs, mask[0]) > 0.9


def test_boxes_of_voxels_lie_where_the_grid_says() -> None:
    """The brightest voxel, through every step that moves voxels."""
    given = sample()
    given["image"] = torch.zeros_like(given["image"])
    given["image"][0, 8, 12, 9] = 100
    moved = Pipeline(steps=EXACT[1:-1]).geometry(given)
    place = np.array(np.unravel_index(int(moved["image"].argmax()), moved["grid"].shape))
    np.testing.assert_allclose(
        moved["grid"].to_world(place[np.newaxis]), given["grid"].to_world([[8, 12, 9]]), atol=1e-5
    )


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step("LoadImaged")], "medlight reads the files"),
        ([step("Lambdad", func="os.system")], "none of the MONAI steps"),
        ([step("SaveImaged")], "none of the MONAI steps"),
        ([step("TorchVisiond", x="x")], "none of the MONAI steps"),
        ([{"_target_": "os.system", "keys": "image"}], "os.system is none of"),
        ([step("Spacingd", pixdim={"_target_": "builtins.eval", "x": "1"})], "builtins.eval is"),
        ([step("Transposed", indices=[0, 2, 1])], "Orientationd"),
        ([step("RandCropByPosNegLabeld", label_key="label")], "data.patch and data.foreground"),
        ([step("Flipd", ["image", "seg"])], "keys must be among image and mask"),
        ([step("Flipd", [])], "keys must be among"),
        ([{"keys": "image"}], "step 0 must be"),
        ([step("Flipd"), step("RandFlipd"), step("Orientationd")], "move it before RandFlipd"),
        ([object()], "_recursive_: false"),
        ([step("MapLabelValued", "label", orig_labels=[1])], "type data.regions to merge labels"),
        ([step("LabelFilterd", "label", applied_labels=[1])], "tests score every label"),
        ([step("CropForegroundd", BOTH, source_key="label")], "truth, which .* source_key: image"),
        (
            [step("MaskIntensityd", mask_key="mask")],
            "step 0, MaskIntensityd: mask_key: label would",
        ),
        ([step("HistogramNormalized", mask_key="mask")], "write mask_key: image"),
        ([step("ScaleIntensityd", BOTH, minv=0, maxv=2)], "numbers of labels.*keys: image"),
        ([step("ThresholdIntensityd", "label", threshold=1)], "would change the numbers of labels"),
    ],
)
def test_what_may_not_be_named(steps: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Pipeline(steps=steps)


def test_every_name_is_a_step_of_monai() -> None:
    from monai import transforms

    for name, kind in KIND.items():
        found = getattr(transforms, name)
        assert issubclass(found, transforms.MapTransform)
        assert issubclass(found, transforms.Randomizable) == kind.startswith("random"), name


def test_slips_are_told_before_anything_is_stored() -> None:
    with pytest.raises(DataError, match=r"write keys: \[image, mask\]"):
        Pipeline(steps=[step("SpatialPadd", spatial_size=[40, 40, 40])]).geometry(sample())
    with pytest.raises(ConfigError, match="mode: "):
        Pipeline(steps=[step("Zoomd", BOTH, zoom=1.3, mode="trilinear")]).geometry(sample())
    with pytest.raises(ConfigError, match=r"step 0, Spacingd: .*pixdims"):
        Pipeline(steps=[step("Spacingd", pixdims=[1, 1, 1])]).geometry(sample())


@pytest.mark.parametrize(
    "name", ["ForegroundMaskd", "KeepLargestConnectedComponentd", "RemoveSmallObjectsd"]
)
def test_a_step_that_needs_a_package_says_which(name: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("medlight.transforms.monai_steps.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=f"step 0, {name} needs: pip install scikit-image"):
        Pipeline(steps=[step(name, "image" if name[0] == "F" else "label")])


def test_a_step_that_fails_is_named_in_one_line() -> None:
    with pytest.raises(DataError, match=r"^the step Resized cannot be applied: len\(spatial_size"):
        Pipeline(steps=[step("Resized", spatial_size=[1, 2])]).geometry(sample())


@pytest.mark.parametrize("key", BOTH)
def test_random_steps_that_leave_the_mask_behind(key: str) -> None:
    random = RandomSteps(steps=[step("RandFlipd", key, prob=1.0, spatial_axis=0)])
    with pytest.raises(ConfigError, match="RandFlipd would move images and masks apart"):
        random(batch([0]), seed=0, epoch=0)
    alone = {name: value for name, value in batch([0]).items() if name != "mask"}
    RandomSteps(steps=[step("RandFlipd", spatial_axis=0)])(alone, seed=0, epoch=0)


def test_what_is_stored_ends_at_the_first_random_step() -> None:
    fixed, random = step("ScaleIntensityd"), step("RandGaussianNoised", prob=1.0)
    pipeline = Pipeline(steps=[fixed, random, step("EnsureTyped", BOTH)])
    assert pipeline.recipe["steps"] == [fixed]
    assert pipeline.recipe == Pipeline(steps=[fixed]).recipe
    assert pipeline.recipe != Pipeline(steps=[{**fixed, "minv": 0.1}]).recipe
    assert pipeline.augment is not None
    np.testing.assert_array_equal(
        pipeline.geometry(sample())["image"], Pipeline(steps=[fixed]).geometry(sample())["image"]
    )


def batch(positions: list[int]) -> dict[str, Any]:
    one = sample()
    n = len(positions)
    return {
        "image": one["image"].repeat(n, 1, 1, 1, 1),
        "mask": one["mask"].repeat(n, 1, 1, 1, 1),
        "position": torch.tensor(positions),
    }


def test_random_steps_follow_seed_epoch_and_position() -> None:
    random = RandomSteps(
        steps=[
            step("RandFlipd", BOTH, prob=0.5, spatial_axis=[0, 2]),
            step("RandAffined", BOTH, prob=1.0, rotate_range=0.3, mode=["bilinear", "nearest"]),
            step("RandScaleIntensityd", factors=0.3, prob=1.0),
        ]
    )
    first = random(batch([3, 4]), seed=0, epoch=1)
    again = random(batch([4, 3]), seed=0, epoch=1)
    torch.testing.assert_close(first["image"][0], again["image"][1], rtol=0, atol=0)
    torch.testing.assert_close(first["mask"][1], again["mask"][0], rtol=0, atol=0)
    assert first["mask"].dtype == torch.uint8
    assert not torch.equal(first["image"][0], first["image"][1])
    for other in (random(batch([3]), seed=1, epoch=1), random(batch([3]), seed=0, epoch=2)):
        assert not torch.equal(first["image"][0], other["image"][0])
    assert random.mirror_axes(3) == (0, 2)
    inside = first["image"][0][first["mask"][0] > 0]  # the ball's inside is bright
    assert inside.min() > 100


def test_random_steps_that_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match="Flipd is not random"):
        RandomSteps(steps=[step("Flipd")])
    with pytest.raises(ConfigError, match="a shape of"):
        RandomSteps(
            steps=[step("RandZoomd", BOTH, min_zoom=1.2, max_zoom=1.2, prob=1.0, keep_size=False)]
        )(batch([0]), seed=0, epoch=0)
    boxes = batch([0]) | {"boxes": [torch.zeros(0, 6)]}
    with pytest.raises(ConfigError, match="boxes and points"):
        RandomSteps(steps=[step("RandFlipd", BOTH)])(boxes, seed=0, epoch=0)
