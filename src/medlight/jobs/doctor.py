"""Where the time of a training goes, and what to type to spend less of it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl
from rich import get_console
from rich.table import Table

from medlight.data.datamodule import DataModule
from medlight.jobs.stopwatch import Stopwatch, measure, room_for
from medlight.runs.files import write_text
from medlight.tasks.base import Task


def doctor(
    *, data: DataModule, task: Task, trainer: pl.Trainer, run_dir: Path, seconds: float = 60.0
) -> None:
    """Train for about `seconds` without keeping anything, and print a table of where they went,
    the bottleneck with the override that mends it, and the largest batch that fits.

    Writes the same to doctor.json.
    """
    watch = measure(data, task, trainer, seconds=0.8 * seconds)
    room = room_for(data, task, trainer)
    epoch = per_epoch(watch, data)
    worst = max(epoch, key=epoch.__getitem__)
    cure = advice(worst, data, trainer)
    found = {
        "steps": watch.steps,
        "seconds_per_epoch": {part: round(value, 4) for part, value in epoch.items()},
        "bottleneck": worst,
        "advice": cure,
        "largest_batch": room.batch,
        "largest_batch_by": room.how,
    }
    write_text(run_dir / "doctor.json", json.dumps(found, indent=2) + "\n")
    console = get_console()
    console.print(table(watch, epoch, data))
    console.print(f"Bottleneck: [bold]{worst}[/bold]. Try: {cure}", highlight=False)
    console.print(f"Largest batch: {room.batch} ({room.how})", highlight=False)


def steps_in(data: DataModule) -> int:
    return max(1, round((data.epoch_samples or len(data.split.train)) / data.batch_size))


def per_epoch(watch: Stopwatch, data: DataModule) -> dict[str, float]:
    """Part to seconds in an epoch with one validation."""
    parts = {part: mean * steps_in(data) for part, mean in watch.per_step().items()}
    return {**parts, "validation": watch.per_case * len(data.split.val)}


def table(watch: Stopwatch, epoch: Mapping[str, float], data: DataModule) -> Table:
    page = Table(
        title=f"An epoch: {steps_in(data)} steps of {data.batch_size}, "
        f"{len(data.split.val)} validation cases; measured over {watch.steps} steps",
        title_justify="left",
    )
    page.add_column("part")
    for name in ("ms a step", "s an epoch", "share"):
        page.add_column(name, justify="right")
    whole, steps = sum(epoch.values()) or 1.0, watch.per_step()
    for part, value in epoch.items():
        step = f"{1000 * steps[part]:.2f}" if part in steps else "\N{EN DASH}"
        page.add_row(part, step, f"{value:.2f}", f"{100 * value / whole:.0f} %")
    page.add_section()
    page.add_row("all", "", f"{whole:.2f}", "100 %", style="bold")
    return page


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
