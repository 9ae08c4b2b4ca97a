"""MONAI's dictionary transforms by name: `transforms=` and `augment=` of one's own.

A step is written as MONAI's own configurations are, `_target_: monai.transforms.Spacingd` and its
arguments. `keys` are image and mask, which MONAI's tutorials call label. Steps that read, write or
call what a file names are not among those that may be used.

Shapes: B batch, C channels, *S spatial axes.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from medlight.core.errors import ConfigError, DataError
from medlight.core.grid import Grid
from medlight.core.intensity import IntensityMap, IntensityStatistics
from medlight.core.sample import Sample
from medlight.transforms.monai_steps import KEYS, KIND, checked_step, is_random, step_name


class Pipeline:
    """MONAI's steps as the preset of a data set. What stands before the first random step is done
    once and stored; random steps, in training only, each time.

    Args:
        steps: each `{_target_: monai.transforms.<name>, <argument>: <value>}`.

    Raises:
        ConfigError: a step may not be used, or stands where it cannot be used.
    """

    def __init__(self, *, steps: Sequence[Mapping[str, Any]]) -> None:
        plain = [checked_step(step, number) for number, step in enumerate(steps)]
        first = next((k for k, step in enumerate(plain) if is_random(step)), len(plain))
        self.steps = plain[:first]
        late = [step for step in plain[first:] if KIND[step_name(step)] != "plain"]
        for step in late:
            if not is_random(step):
                raise ConfigError(
                    f"transforms.steps: {step_name(step)} stands after a random step, and would be "
                    f"left out of predictions; move it before {step_name(plain[first])}"
                )
        self.augment = RandomSteps(steps=late) if late else None

    @property
    def recipe(self) -> Mapping[str, Any]:
        from importlib.metadata import version

        return {"preset": "monai", "steps": self.steps, "monai": version("monai")}

    @cached_property
    def _compose(self) -> Any:
        return _build(self.steps)

    def __call__(self, sample: Sample) -> Sample:
        return self.geometry(sample)

    def geometry(self, sample: Sample) -> Sample:
        from monai.data import MetaTensor

        affine = torch.from_numpy(sample["grid"].affine)
        held = {
            key: MetaTensor(sample[key].float(), affine=affine, meta={"original_channel_dim": 0})  # type: ignore[literal-required]
            for key in KEYS
            if key in sample
        }
        done = _apply(self._compose, held)
        image = done["image"]
        grid = Grid(tuple(image.shape[1:]), np.asarray(image.affine, np.float64))
        moved: Sample = {**sample, "image": _tensor(image), "grid": grid}
        if "mask" in done:
            mask = done["mask"]
            if mask.shape[1:] != image.shape[1:] or not np.allclose(mask.affine, image.affine):
                raise DataError(
                    "the steps moved the image and the mask apart; write keys: [image, mask] for "
                    "each step that moves voxels"
                )
            moved["mask"] = _labels(mask, sample["mask"].dtype)
        return moved

    def intensity(self, statistics: IntensityStatistics, modality: tuple[str, ...]) -> IntensityMap:
        return IntensityMap.identity(*statistics.mean.shape)


class RandomSteps:
    """MONAI's random steps as augmentation: each sample for itself, by a generator that is a
    function of (seed, epoch, position).

    Args:
        steps: as of `Pipeline`.

    Raises:
        ConfigError: a step is not random, or may not be used.
    """

    def __init__(self, *, steps: Sequence[Mapping[str, Any]]) -> None:
        plain = [checked_step(step, number) for number, step in enumerate(steps)]
        self.steps = [step for step in plain if KIND[step_name(step)] != "plain"]
        for step in self.steps:
            if not is_random(step):
                raise ConfigError(
                    f"augment.steps: {step_name(step)} is not random; it belongs to transforms, so "
                    f"that predictions see it, too"
                )

    @cached_property
    def _compose(self) -> Any:
        return _build(self.steps)

    def mirror_axes(self, ndim: int) -> tuple[int, ...]:
        """Spatial axes along which images are mirrored: what prediction may average over."""
        axes: set[int] = set()
        for step in self.steps:
            if step_name(step) in ("RandFlipd", "RandAxisFlipd"):
                named = step.get("spatial_axis")
                axes |= set(range(ndim)) if named is None else set(np.atleast_1d(named).tolist())
        return tuple(sorted(axis % ndim for axis in axes))

    def __call__(self, batch: dict[str, Any], *, seed: int, epoch: int) -> dict[str, Any]:
        """Change (B, C, *S) images and (B, 1, *S) masks, whose shapes stay.

        Raises:
            ConfigError: a shape changes, or there are masks, boxes or points that a step would
                leave behind.
        """
        spatial = [
            step_name(step) for step in self.steps if KIND[step_name(step)] == "random spatial"
        ]
        if spatial and ("boxes" in batch or "points" in batch):
            raise ConfigError(
                f"augment.steps: {spatial[0]} would move images without their boxes and points; "
                f"use augment=nnunet or another of medlight's own"
            )
        keys = [key for key in KEYS if key in batch]
        for step in self.steps:
            if step_name(step) in spatial and not set(keys) <= {*np.atleast_1d(step["keys"])}:
                raise ConfigError(
                    f"augment.steps: {step_name(step)} would move images and masks apart; write "
                    f"keys: [image, mask]"
                )
        done: dict[str, list[torch.Tensor]] = {key: [] for key in keys}
        for row, position in enumerate(batch["position"].tolist()):
            state = np.random.SeedSequence([seed, epoch, position]).generate_state(1)
            self._compose.set_random_state(seed=int(state[0]))
            changed = _apply(self._compose, {key: batch[key][row].float() for key in keys})
            for key in keys:
                if changed[key].shape != batch[key][row].shape:
                    raise ConfigError(
                        f"augment.steps: a shape of {tuple(batch[key][row].shape)} became "
                        f"{tuple(changed[key].shape)}; steps must keep it (RandZoomd: keep_size)"
                    )
                done[key].append(_tensor(changed[key]))
        stacked = {key: torch.stack(values) for key, values in done.items()}
        if "mask" in stacked:
            stacked["mask"] = _labels(stacked["mask"], batch["mask"].dtype)
        return batch | stacked


def _build(steps: Sequence[Mapping[str, Any]]) -> Any:
    from monai import transforms

    built = []
    for number, step in enumerate(steps):
        given = {"allow_missing_keys": True, **step}
        del given["_target_"]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # MONAI on defaults that it changed
                built.append(getattr(transforms, step_name(step))(**given))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"step {number}, {step_name(step)}: {error}") from error
    return transforms.Compose(built)


def _apply(compose: Any, held: dict[str, Any]) -> Any:
    """DataError, in one line that names the step, for what a step raises."""
    try:
        return compose(held)
    except RuntimeError as error:
        name = re.search(r"\.(\w+) object at", str(error))
        cause = " ".join(str(error.__cause__ or error).split())
        raise DataError(f"the step {name[1] if name else ''} cannot be applied: {cause}") from error


def _tensor(value: Any) -> torch.Tensor:
    plain: torch.Tensor = value.as_tensor() if hasattr(value, "as_tensor") else value
    return plain.float()


def _labels(mask: Any, dtype: torch.dtype) -> torch.Tensor:
    values = _tensor(mask)
    if not torch.equal(values, values.round()):
        raise ConfigError(
            "a step made fractions of the labels; write mode: [bilinear, nearest] for the keys "
            "[image, mask]"
        )
    return values.to(dtype)
