"""Whatever data set is planned for: its files compose, and what they say can be trained."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from monai.networks.nets import UNet
from omegaconf import OmegaConf

from medlight.cli.config import register
from medlight.cli.options import conf_dir
from medlight.cli.validate import check_targets
from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.data.datamodule import DataModule
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.phantom import Phantom2DDataModule, PhantomDataModule, PhantomMasksDataModule
from medlight.io.nifti import write_nifti
from medlight.jobs.plan import plan_settings
from medlight.planning.fingerprint import DatasetFingerprint, extract_fingerprint
from medlight.planning.geometry import choose_patch
from medlight.planning.memory_estimate import PlannedDevice
from medlight.planning.rules import plan
from medlight.transforms.radiograph import Radiograph
from medlight.transforms.volume import Volume

CPU = PlannedDevice(memory=8 * 2**30, gpu=False)


def task(
    root: Path, images: list[np.ndarray], masks: list[np.ndarray], grid: Grid, modality: list[str]
) -> Path:
    """A folder in Decathlon format; images are (*S) or (*S, C)."""
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        (root / "imagesTr").mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(image, grid.affine), root / f"imagesTr/case_{number}.nii.gz")
        write_nifti(root / f"labelsTr/case_{number}.nii.gz", mask, grid)
    names = [f"case_{number}.nii.gz" for number in range(len(images))]
    content = {
        "name": root.name.split("_", 1)[1],
        "modality": {str(k): name for k, name in enumerate(modality)},
        "labels": {"0": "background", "1": "organ"},
        "training": [{"image": f"imagesTr/{n}", "label": f"labelsTr/{n}"} for n in names],
    }
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def phantom(cache: Path) -> DataModule:
    return PhantomDataModule(cache=cache, n_cases=10, transforms=Volume())


def patterns(cache: Path) -> DataModule:
    return Phantom2DDataModule(cache=cache, n_cases=60, transforms=Radiograph())


def slices(cache: Path) -> DataModule:
    return PhantomMasksDataModule(cache=cache, n_cases=20, transforms=Radiograph())


def channels(cache: Path) -> DataModule:
    random = np.random.default_rng(0)
    images = [random.normal(size=(24, 26, 20, 2)).astype(np.float32) for _ in range(8)]
    masks = [(image[..., 0] > 1).astype(np.uint8) for image in images]
    grid = Grid((24, 26, 20))
    root = task(cache / "Task05_Prostate", images, masks, grid, ["T2", "ADC"])
    return DecathlonDataModule(root=root, task=root.name, cache=cache, transforms=Volume())


def axial(cache: Path) -> DataModule:
    return PhantomDataModule(cache=cache, n_cases=10, transforms=Volume(), slices="axial")


def labelled(cache: Path) -> DataModule:
    return PhantomDataModule(
        cache=cache, n_cases=10, transforms=Volume(), slices="coronal", slice_labels="mask"
    )


KINDS = {
    "phantom": phantom, "patterns": patterns, "slices": slices, "channels": channels,
    "axial": axial, "labelled": labelled,
}  # fmt: skip


BASE = {
    "phantom": "phantom", "patterns": "phantom2d", "slices": "phantom2d_masks",
    "axial": "phantom", "labelled": "phantom",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_of_any_data_set_composes_and_says_why(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = KINDS[kind](tmp_path)
    sliced = [f"data.slices={data.slices}"] if data.slices else []
    sliced += ["data.slice_labels=mask"] if data.slice_labels else []
    choices = plan_settings(
        data=data,
        run_dir=tmp_path,
        base=BASE.get(kind, "decathlon"),
        transforms="volume" if data.spatial_dims == 3 else "radiograph",
        overrides=["data=any", "data.fold=1", *sliced],
        name="planned",
        memory_gb=4,
    )
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", ["experiment=planned"])
    check_targets(cfg)
    assert (cfg.name, cfg.data.fold) == ("planned", 1)
    assert cfg.data.transforms == cfg.transforms
    texts = {path.parent.name: path.read_text() for path in Path("conf").rglob("*.yaml")}
    for choice in choices:
        assert choice.reason in " ".join(texts[choice.file].split("\n# "))
        if "." in choice.key or choice.file != "experiment":
            place = choice.key if choice.file == "experiment" else f"{choice.file}.{choice.key}"
            assert choice.key == "base" or OmegaConf.select(cfg, place) == choice.value, place
    labels = data.target_labels
    net = instantiate(cfg.model)(
        spatial_dims=data.net_dims, in_channels=2, out_channels=len(labels)
    )
    patch = cfg.data.patch or cfg.transforms.size
    assert net(torch.zeros(2, 2, *patch)).shape[:2] == (2, len(labels))


def test_a_plan_of_slices_resamples_within_them_and_fits_their_batch(tmp_path: Path) -> None:
    data = axial(tmp_path)
    chosen = {choice.key: choice.value for choice in plan(extract_fingerprint(data), CPU)}
    spacing = np.median(data.train_cases.spacing_mm[:, :0:-1], axis=0)  # right, anterior
    assert chosen["spacing_mm"][:2] == pytest.approx(spacing.tolist(), rel=1e-3)
    assert chosen["spacing_mm"][2] is None
    assert (len(chosen["patch"]), chosen["batch_size"]) == (2, 16)
    assert chosen["base"] == "unet2d"


def test_hippocampus_lands_on_the_published_patch_and_spacing(
    real_data: Path, shared_cache: Path
) -> None:
    data = DecathlonDataModule(root=real_data, cache=shared_cache, transforms=Volume())
    fingerprint = extract_fingerprint(data)
    assert fingerprint.cases == len(data.split.train)
    chosen = {choice.key: choice.value for choice in plan(fingerprint, CPU)}
    assert chosen["patch"] == [40, 56, 40]
    assert chosen["spacing_mm"] == [1.0, 1.0, 1.0]
    assert chosen["strides"] == [2, 2, 2]
    assert "window_hu" not in chosen


def test_spleen_is_cut_along_its_coarse_axis_and_windowed_by_its_voxels(
    real_data: Path, tmp_path: Path
) -> None:
    folder = real_data / "spleen_crop"
    image, mask = (nib.load(folder / f"spleen_2{part}.nii.gz") for part in ("", "_label"))
    voxels, labels = np.asarray(image.dataobj), np.asarray(mask.dataobj).astype(np.uint8)
    shifts = [voxels + 3 * number for number in range(6)]
    grid = Grid(labels.shape, image.affine)
    root = task(tmp_path / "Task09_Spleen", shifts, [labels] * 6, grid, ["CT"])
    data = DecathlonDataModule(root=root, task=root.name, cache=tmp_path, transforms=Volume())
    fingerprint = extract_fingerprint(data)
    chosen = {choice.key: choice.value for choice in plan(fingerprint, CPU)}
    assert chosen["spacing_mm"] == pytest.approx(image.header.get_zooms(), rel=1e-3)
    used = [int(case.removeprefix("case_")) for case in data.split.train]
    inside = np.concatenate([(voxels + 3 * number)[labels > 0] for number in used])
    assert chosen["window_hu"] == pytest.approx(np.percentile(inside, [0.5, 99.5]), abs=3)
    assert chosen["strides"][0] == [2, 2, 1]
    volume = (labels > 0).sum() * np.prod(image.header.get_zooms()) / 1000
    assert fingerprint.volumes_ml == pytest.approx(volume, rel=1e-3)


def figures(**changes: Any) -> DatasetFingerprint:
    given: dict[str, Any] = {
        "name": "given",
        "cases": 40,
        "labels": Labels(("background", "organ"), "mask"),
        "modality": ("MRI",),
        "channels": 1,
        "shapes": np.full((40, 3), 128),
        "spacings_mm": np.ones((40, 3)),
        "source_shapes": np.full((40, 3), 128),
        "foreground_percentiles": np.array([[-100.0, 200.0]]),
        "volumes_ml": np.ones((40, 1)),
    }
    return DatasetFingerprint(**given | changes)


def chosen(fingerprint: DatasetFingerprint, device: PlannedDevice) -> dict[str, Any]:
    return {choice.key: choice.value for choice in plan(fingerprint, device)}


def test_more_memory_buys_larger_patches_then_larger_batches() -> None:
    sizes = [
        chosen(figures(), PlannedDevice(memory=gigabytes * 2**30, gpu=True))
        for gigabytes in (2, 8, 80)
    ]
    voxels = [np.prod(each["patch"]) for each in sizes]
    assert voxels[0] < voxels[1] <= voxels[2] == 128**3
    assert sizes[0]["batch_size"] == 2
    assert sizes[2]["batch_size"] == 2, "5 % of 40 cases of this size"
    many = figures(cases=400)
    assert chosen(many, PlannedDevice(memory=80 * 2**30, gpu=True))["batch_size"] > 2


def test_left_and_right_are_not_mirrored() -> None:
    sided = Labels(("background", "Left_kidney", "spleen"), "mask")
    key = "augment.spatial.flip.probability"
    assert chosen(figures(labels=sided), CPU)[key] == 0.0
    bright = Labels(("background", "bright"), "mask")
    assert key not in chosen(figures(labels=bright), CPU)


def test_a_plan_is_not_overwritten_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = phantom(tmp_path)
    options: dict[str, Any] = {"data": data, "run_dir": tmp_path, "base": "phantom"}
    options |= {"transforms": "volume", "memory_gb": 1}
    plan_settings(**options)
    with pytest.raises(ConfigError, match=r"exists; plan it again with force=true"):
        plan_settings(**options)
    plan_settings(**options, force=True)
    with pytest.raises(ConfigError, match="not that of an option"):
        plan_settings(**options, name="phantom")


def test_a_volume_below_every_patch_has_a_net() -> None:
    patch = choose_patch((6, 7, 5), (1.0, 1.0, 1.0), lambda patch: True)
    assert patch.strides == ((1, 1, 1),)
    channels = [4 * 2**level for level in range(len(patch.strides) + 1)]
    net = UNet(3, 1, 2, channels=channels, strides=[s[0] for s in patch.strides])
    assert net(torch.zeros(1, 1, *patch.shape)).shape == (1, 2, *patch.shape)
