"""The parts of a training step, one after the other, with a clock beside them."""

import copy
import gc
import itertools
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from medlight.data.datamodule import DataModule
from medlight.tasks.base import Task
from medlight.tasks.schedule import build_optimizer

PARTS = ("read", "transfer", "augment", "forward", "backward", "optimizer", "logging")
WARMUP_STEPS = 2
"""Steps that are not counted: allocations, and kernels that are chosen."""
MEMORY_FRACTION = 0.8
"""Share of the memory at hand that a batch may take."""


@dataclass
class StepTimer:
    """Attributes:
    steps: counted.
    seconds_per_case: seconds that a validation case takes, read included.
    """

    device: torch.device
    steps: int = 0
    seconds_per_case: float = 0.0
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # else the next part would pay
        self.seconds[part] += time.perf_counter() - start

    def seconds_per_step(self) -> dict[str, float]:
        return {part: self.seconds[part] / max(1, self.steps) for part in PARTS}


def time_steps(data: DataModule, task: Task, trainer: pl.Trainer, *, seconds: float) -> StepTimer:
    """Train a copy for four fifths of `seconds`, at least three steps; validate for the rest."""
    device = trainer.strategy.root_device
    task, timer = copy.deepcopy(task).to(device), StepTimer(device)
    optimizer = build_optimizer(task.optimizer, task.net.parameters())
    end = time.perf_counter() + 0.8 * seconds
    batches, every = _repeat_epochs(data), getattr(trainer, "log_every_n_steps", 50)
    for step in itertools.count():
        if step == WARMUP_STEPS:
            timer.seconds.clear()
        with timer.time("read"):
            batch = next(batches)
        loss = _step(data, task, trainer, optimizer, batch, timer)
        if step % every == 0 or step == WARMUP_STEPS:
            with timer.time("logging"):
                for logger in trainer.loggers:
                    logger.log_metrics({"profile/loss": float(loss)}, step)
        timer.steps = max(0, step + 1 - WARMUP_STEPS)
        if timer.steps >= 3 and time.perf_counter() > end:
            break
    timer.seconds_per_case = _validate(data, task, trainer, seconds=0.2 * seconds)
    return timer


def _repeat_epochs(data: DataModule) -> Iterator[dict[str, Any]]:
    loader: Any = data.train_dataloader()
    for epoch in itertools.count():
        loader.batch_sampler.set_epoch(epoch)
        yield from loader


def _step(
    data: DataModule,
    task: Task,
    trainer: pl.Trainer,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, Any],
    timer: StepTimer,
) -> torch.Tensor:
    with timer.time("transfer"):
        batch = data.transfer_batch_to_device(batch, timer.device, 0)
    with timer.time("augment"):
        batch = data.apply_augmentation(batch, epoch=0)
    task.train()
    with timer.time("forward"), trainer.precision_plugin.forward_context():
        loss = task.step(batch)
    with timer.time("backward"):
        loss.backward()
    with timer.time("optimizer"):
        if trainer.gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(task.net.parameters(), float(trainer.gradient_clip_val))
        optimizer.step()
        optimizer.zero_grad()
    return loss.detach()


def _validate(data: DataModule, task: Task, trainer: pl.Trainer, *, seconds: float) -> float:
    """Seconds for a case; at least one is looked at, where there are any."""
    loader: Any = data.val_dataloader()
    task.eval()
    start, cases = time.perf_counter(), 0
    for batch in loader:
        batch = data.transfer_batch_to_device(batch, trainer.strategy.root_device, 0)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            cases += len(task.infer(batch))
        if time.perf_counter() - start > seconds:
            break
    return (time.perf_counter() - start) / cases if cases else 0.0


@dataclass(frozen=True, slots=True)
class MaxBatch:
    """The largest batch that fits, and how that was found."""

    batch: int
    reason: str


def find_max_batch(data: DataModule, task: Task, trainer: pl.Trainer) -> MaxBatch:
    """Step with batches of twice the size each until the memory of the device has grown enough to
    tell what a sample takes; from that and the memory at hand, how many fit.

    A batch is made of copies of one that was read: what is in it does not matter.
    """
    device = trainer.strategy.root_device
    task = copy.deepcopy(task).to(device)
    optimizer = build_optimizer(task.optimizer, task.net.parameters())
    loader: Any = data.train_dataloader()
    read = next(iter(loader))
    size = len(read["image"])
    peaks: list[tuple[int, int]] = []
    for doubled in range(6):
        batch = {key: _repeated(value, 2**doubled) for key, value in read.items()}
        try:
            _step(data, task, trainer, optimizer, batch, StepTimer(device))
        except torch.OutOfMemoryError:
            break
        peaks.append((size * 2**doubled, _peak_bytes(device)))
        if len(peaks) > 2 and peaks[-1][1] > 1.2 * peaks[0][1]:
            break
    del optimizer
    gc.collect()
    (few, less), (many, more) = peaks[-2] if len(peaks) > 1 else peaks[-1], peaks[-1]
    grown = more - less
    if many == few or grown <= 0:
        return MaxBatch(many, "the largest that was tried; it did not need more memory")
    sample, free = grown / (many - few), _free_bytes(device)
    return MaxBatch(
        int(many + MEMORY_FRACTION * free / sample),
        f"{sample / 2**20:.1f} MB a sample, {free / 2**30:.1f} GB at hand, {MEMORY_FRACTION:.0%} "
        f"of it used",
    )


def _repeated(value: Any, times: int) -> Any:
    return torch.cat([value] * times) if isinstance(value, torch.Tensor) else value


def _peak_bytes(device: torch.device) -> int:
    """Bytes: the most that was ever held."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _free_bytes(device: torch.device) -> float:
    """Bytes that are free: of the device, or of the machine and of the limit set for this job."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return float(free)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    known = Path("/proc/meminfo")
    if known.is_file():
        lines = dict(line.split(":") for line in known.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = (Path("/sys/fs/cgroup") / f"memory.{name}" for name in ("max", "current"))
    if limit.is_file() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return float(free)
