"""Old names of settings, classes and scores, and what they are called now.

Configurations, checkpoints and tables of runs that an earlier version wrote are read under the
present names, and old names that are typed are taken as the present ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any

KEYS = {
    "data.foreground": "data.foreground_oversampling",
    "data.block": "data.group_size",
    "data.compare": "data.group_duplicates",
    "store.workers": "store.num_workers",
    "inference.mirror": "inference.tta",
    "augment.spatial.affine.shift": "augment.spatial.affine.translate",
    "augment.spatial.elastic.cells": "augment.spatial.elastic.num_cells",
    "augment.intensity.noise.strength": "augment.intensity.noise.std",
    "augment.intensity.brightness.factor": "augment.intensity.brightness.multiplier",
    "augment.intensity.contrast.factor": "augment.intensity.contrast.multiplier",
    "augment.intensity.contrast.keep_range": "augment.intensity.contrast.preserve_range",
    "augment.intensity.gamma.power": "augment.intensity.gamma.gamma",
    "augment.intensity.gamma.keep_statistics": "augment.intensity.gamma.retain_stats",
    "augment.intensity.gamma_inverted.power": "augment.intensity.gamma_inverted.gamma",
    "augment.intensity.gamma_inverted.keep_statistics": (
        "augment.intensity.gamma_inverted.retain_stats"
    ),
    "augment.intensity.low_resolution.share": "augment.intensity.low_resolution.zoom",
    "loss.ce": "loss.lambda_ce",
    "loss.bce": "loss.lambda_bce",
    "loss.focal": "loss.lambda_focal",
    "schedule.rise": "schedule.pct_start",
    "schedule.start": "schedule.div_factor",
    "schedule.end": "schedule.final_div_factor",
    "callbacks.stretch": "callbacks.rescale_schedule",
    "callbacks.rate": "callbacks.learning_rate",
    "callbacks.last": "callbacks.last_checkpoint",
    "callbacks.last.minutes": "callbacks.last_checkpoint.every_n_minutes",
    "callbacks.last.folder": "callbacks.last_checkpoint.dirpath",
    "sweep.failures": "sweep.max_failures",
    "sweep.startup": "sweep.n_startup_trials",
    "sweep.reduction": "sweep.reduction_factor",
    "callbacks.calibration.apply": "job.calibrate",
    "job.processes": "job.num_processes",
    "job.given": "job.overrides",
}
"""Dotted keys of a configuration."""

KEYS_OF_TARGET = {"medlight.losses.dice.GeneralisedDice": {"weight": "w_type"}}
"""Keys that other classes of the same group still have: class to old and new name."""

OPTIONS = {"task=findings": "task=multilabel", "job=doctor": "job=profile"}
"""Options of a group, as typed."""

VALUES = {"job.missing=refuse": "job.missing=error", "job.missing=miss": "job.missing=empty"}
"""Values of a key, as typed."""

REMOVED = ("inference.half", "callbacks.calibration", "data.memory_gb")
"""Keys that are gone: they never did anything, or are settings of the verb now."""

TARGETS = {
    "medlight.augment.intensity.Noise": "medlight.augment.intensity.GaussianNoise",
    "medlight.callbacks.average.EMA": "medlight.callbacks.ema.EMA",
    "medlight.callbacks.last.LastCheckpoint": "medlight.callbacks.last_checkpoint.LastCheckpoint",
    "medlight.callbacks.loggers.MLflow": "medlight.loggers.local.MLflow",
    "medlight.callbacks.loggers.TensorBoard": "medlight.loggers.local.TensorBoard",
    "medlight.callbacks.stretch.Stretch": "medlight.callbacks.rescale_schedule.RescaleSchedule",
    "medlight.callbacks.wandb.RunLogger": "medlight.loggers.wandb.WandbRunLogger",
    "medlight.jobs.doctor.doctor": "medlight.jobs.profile.profile",
    "medlight.losses.dice_focal.DiceFocal": "medlight.losses.dice.DiceFocal",
    "medlight.losses.findings.MaskedBCE": "medlight.losses.cross_entropy.MaskedBCE",
    "medlight.losses.generalised_dice.GeneralisedDice": "medlight.losses.dice.GeneralisedDice",
    "medlight.losses.masked_bce.MaskedBCE": "medlight.losses.cross_entropy.MaskedBCE",
    "medlight.losses.soft_dice.DiceBCE": "medlight.losses.dice.DiceBCE",
    "medlight.losses.soft_dice.DiceCE": "medlight.losses.dice.DiceCE",
    "medlight.losses.soft_dice.SoftDice": "medlight.losses.dice.SoftDice",
    "medlight.losses.tversky.Tversky": "medlight.losses.dice.Tversky",
    "medlight.sweep.ablation.Ablation": "medlight.sweep.ablation.AblationSweep",
    "medlight.sweep.grid.Grid": "medlight.sweep.grid.GridSweep",
    "medlight.sweep.on_ray.RayLauncher": "medlight.sweep.ray_launcher.RayLauncher",
    "medlight.sweep.search.Search": "medlight.sweep.search.OptunaSweep",
    "medlight.tasks.findings.FindingsTask": "medlight.tasks.multilabel.MultilabelTask",
}
"""Values of `_target_`."""

SCORES = {"missed": "false_negatives", "false_alarms": "false_positives", "left_out": "not_scored"}
"""Names in metrics.json, without stage and class."""


def rename_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A saved configuration under the present names; nested mappings stay nested."""
    renamed = _renamed(config, "")
    calibration = (config.get("callbacks") or {}).get("calibration")
    if calibration and isinstance(renamed.get("job"), dict):
        renamed["job"]["calibrate"] = calibration.get("apply", False)
    return renamed


def _renamed(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    target = str(config.get("_target_", ""))
    of_target = KEYS_OF_TARGET.get(TARGETS.get(target, target), {})
    renamed: dict[str, Any] = {}
    for key, value in config.items():
        dotted = f"{prefix}{key}"
        if dotted in REMOVED:
            continue
        name = of_target.get(key, KEYS.get(dotted, dotted).rpartition(".")[2])
        if isinstance(value, Mapping):
            renamed[name] = _renamed(value, f"{dotted}.")
        else:
            renamed[name] = TARGETS.get(value, value) if key == "_target_" else value
    return renamed


def rename_overrides(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Typed words under the present names, and a sentence for each that was an old one."""
    renamed = [_rename_override(word) for word in words]
    said = [
        f"{old} is called {new} now" for old, new in zip(words, renamed, strict=True) if new != old
    ]
    return renamed, said


def _rename_override(word: str) -> str:
    sign = word[: len(word) - len(word.lstrip("+~"))]
    bare = word[len(sign) :]
    for table in (OPTIONS, VALUES):
        for old, new in table.items():
            for left_out in ("", "job=", "job."):  # `doctor`, `missing=miss` are typed so
                if left_out + bare == old and (left_out or "=" in bare):
                    return sign + new.removeprefix(left_out)
    key, equals, value = bare.partition("=")
    for old in sorted(KEYS, key=len, reverse=True):
        for typed in (old, old.removeprefix("job.")):
            if key == typed or key.startswith(f"{typed}."):
                new = KEYS[old] if typed == old else KEYS[old].removeprefix("job.")
                return f"{sign}{new}{key[len(typed) :]}{equals}{value}"
    return word


def rename_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The content of metrics.json under the present names: "<stage>/<metric>[/<class>]"."""
    renamed = {}
    for name, value in scores.items():
        stage, slash, rest = name.partition("/")
        metric, dash, label = rest.partition("/")
        renamed[f"{stage}{slash}{SCORES.get(metric, metric)}{dash}{label}"] = value
    return renamed
