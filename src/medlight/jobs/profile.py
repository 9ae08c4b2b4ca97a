"""Where the time of a training goes, and what to type to spend less of it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl
from rich import get_console
from rich.table import Table

from medlight.data.datamodule import DataModule
from medlight.jobs.step_timer import StepTimer, find_max_batch, time_steps
from medlight.jobs.verb import verb
from medlight.report.console_table import console_table
from medlight.runs.directory import PROFILE_FILE
from medlight.runs.files import write_text
from medlight.tasks.base import Task


@verb("data", "task", "trainer", "run_dir")
def profile(
    *, data: DataModule, task: Task, trainer: pl.Trainer, run_dir: Path, seconds: float = 60.0
) -> None:
    """Train for about `seconds` without keeping anything, and print a table of where they went,
    the bottleneck with the override that helps, and the largest batch that fits.

    Writes the same to profile.json.
    """
    timer = time_steps(data, task, trainer, seconds=0.8 * seconds)
    max_batch = find_max_batch(data, task, trainer)
    epoch = seconds_per_epoch(timer, data)
    worst = max(epoch, key=epoch.__getitem__)
    suggestion = advice(worst, data, trainer)
    found = {
        "steps": timer.steps,
        "seconds_per_epoch": {part: round(value, 4) for part, value in epoch.items()},
        "bottleneck": worst,
        "advice": suggestion,
        "max_batch_size": max_batch.batch,
        "max_batch_size_method": max_batch.reason,
    }
    write_text(run_dir / PROFILE_FILE, json.dumps(found, indent=2) + "\n")
    console = get_console()
    console.print(timing_table(timer, epoch, data))
    console.print(f"Bottleneck: [bold]{worst}[/bold]. Try: {suggestion}", highlight=False)
    console.print(f"Largest batch: {max_batch.batch} ({max_batch.reason})", highlight=False)


def steps_per_epoch(data: DataModule) -> int:
    return max(1, round((data.epoch_samples or len(data.split.train)) / data.batch_size))


def seconds_per_epoch(timer: StepTimer, data: DataModule) -> dict[str, float]:
    """Part to seconds in an epoch with one validation."""
    parts = {part: mean * steps_per_epoch(data) for part, mean in timer.seconds_per_step().items()}
    return {**parts, "validation": timer.seconds_per_case * len(data.split.val)}


def timing_table(timer: StepTimer, epoch: Mapping[str, float], data: DataModule) -> Table:
    whole, steps = sum(epoch.values()) or 1.0, timer.seconds_per_step()
    rows = [
        [
            part,
            f"{1000 * steps[part]:.2f}" if part in steps else "\N{EN DASH}",
            f"{value:.2f}",
            f"{100 * value / whole:.0f} %",
        ]
        for part, value in epoch.items()
    ]
    return console_table(
        f"An epoch: {steps_per_epoch(data)} steps of {data.batch_size}, "
        f"{len(data.split.val)} validation cases; measured over {timer.steps} steps",
        ["part", "ms per step", "s per epoch", "share"],
        [*rows, ["all", "", f"{whole:.2f}", "100 %"]],
        width=get_console().width,
        styles=[""] * len(rows) + ["bold"],
        sections=[len(rows) - 1],
    )


def advice(part: str, data: DataModule, trainer: pl.Trainer) -> str:
    """The override most likely to help where a part takes most of the time."""
    cuda = trainer.strategy.root_device.type == "cuda"
    cores = os.cpu_count() or 1
    if part == "read":
        if data.num_workers < cores - 1:
            return f"data.num_workers={min(8, cores - 1)}"
        return "store.memory_gb=<more>, or a smaller data.patch"
    compute = "a smaller net or data.patch"
    if cuda:
        compute = f"trainer.precision=bf16-mixed, task.channels_last=true, or {compute}"
    elif cores > 1:
        compute = f"OMP_NUM_THREADS={cores} in the environment, or {compute}"
    return {
        "augment": "augment=light, or augment=none",
        "transfer": "a smaller data.patch: what is moved is what is trained on",
        "forward": compute,
        "backward": compute,
        "optimizer": "a larger data.batch_size, or optimizer=sgd",
        "logging": "trainer.log_every_n_steps=100, or logger=csv",
        "validation": "trainer.check_val_every_n_epoch=5, or inference.overlap=0.25",
    }[part]
