"""A training step on a GPU, beside what its arithmetic and its memory traffic would allow.

Volumes are generated: 4x128^3 at batch 2, and Task04's patches of 40x56x40 at batch 9, as nnU-Net
plans it. A row is a net, data and a setting: precision, channels_last, compile; the last rows add
`augment=nnunet` on the device. The floor of a step is the larger of FLOPs over the rate of a large
matrix product in that precision, and bytes over the rate of a copy: of every layer's output,
written and read once on each way, and of weights, gradients and AdamW's moments. Busy is the share
of the time in which a kernel runs.

What others report of one A100 with AMP stands first.
Run: `python benchmarks/gpu.py`; without a GPU it says so, row by row, and
`--device cpu --size 16 --steps 1` shows that it works.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from harness import RESULTS, Report
from hydra.utils import instantiate
from monai.networks.nets import DynUNet, UNet
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from medlight.losses.dice import DiceCE
from medlight.tasks.schedule import build_optimizer

WARM_UP = 5
CLASSES = 3


def unet(shape: tuple[int, ...], *, inputs: int) -> nn.Module:
    """medlight's `model=unet3d`."""
    return UNet(
        3, inputs, CLASSES, channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=2,
        norm="batch",
    )  # fmt: skip


def dynunet(shape: tuple[int, ...], *, inputs: int) -> nn.Module:
    """nnU-Net's plan for a patch: halved while four voxels are left, 320 channels at most."""
    levels = 1 + min(5, int(math.log2(min(shape) / 4)))
    return DynUNet(
        3, inputs, CLASSES, [3] * levels, [1] + [2] * (levels - 1), [2] * (levels - 1),
        filters=[min(320, 32 * 2**level) for level in range(levels)], norm_name="instance",
    )  # fmt: skip


NETS = {"UNet, 1.2 M": unet, "DynUNet": dynunet}
REPORTED = (
    ("reported: NVIDIA's nnU-Net on Lightning, A100, 4x128^3, batch 2", 6.74, "volumes a second"),
    ("reported: nnU-Net, A100, augmentation on the CPU", 302.0, "ms an iteration"),
    ("reported: nnU-Net, A100, augmentation on the GPU", 145.0, "ms an iteration"),
)
AUGMENT = Path(__file__).parents[1] / "conf" / "augment" / "nnunet.yaml"


@dataclass(frozen=True)
class Row:
    """What is measured: one net, data and setting."""

    net: str
    data: str
    channels: int
    shape: tuple[int, ...]
    batch: int
    bf16: bool
    last: bool
    compiled: bool
    augmented: bool = False

    @property
    def name(self) -> str:
        words = [self.net, self.data, "bf16" if self.bf16 else "fp32"]
        words += ["channels last"] * self.last + ["compiled"] * self.compiled
        return ", ".join(words + ["augmented"] * self.augmented)

    @property
    def wanted_volumes(self) -> str:
        best = self.bf16 and self.compiled and self.net == "DynUNet" and not self.augmented
        return "> 6.74 (NVIDIA, A100)" if best and self.data == "4x128^3" else ""


def rows(size: int) -> Iterator[Row]:
    task04 = tuple(min(size, n) for n in (40, 56, 40))
    data = (("4x128^3", 4, (size,) * 3, 2), ("Task04", 1, task04, 9))
    switches = itertools.product((False, True), (False, True), (False, True))
    for (bf16, last, compiled), net, which in itertools.product(switches, NETS, data):
        yield Row(net, *which, bf16, last, compiled)
    for which in data:
        yield Row("DynUNet", *which, True, True, False, augmented=True)


def step_of(row: Row, device: torch.device) -> tuple[nn.Module, Tensor, Callable[[], None]]:
    """The net, an image batch, and a training step as medlight does it."""
    torch.manual_seed(0)
    layout = torch.channels_last_3d if row.last else torch.contiguous_format
    net = NETS[row.net](row.shape, inputs=row.channels).to(device, memory_format=layout)
    image = torch.randn(row.batch, row.channels, *row.shape, device=device)
    mask = torch.randint(0, CLASSES, (row.batch, 1, *row.shape), device=device)
    batch: dict[str, Any] = {"image": image, "mask": mask, "position": torch.arange(row.batch)}
    augment = instantiate(OmegaConf.load(AUGMENT), _convert_="all") if row.augmented else None
    optimizer = build_optimizer(partial(torch.optim.AdamW, fused="auto"), net.parameters())
    loss_of, weights = DiceCE(), list(net.parameters())
    if row.compiled:
        net.compile()

    def step() -> None:
        shown = augment(batch, seed=0, epoch=0) if augment else batch
        with torch.autocast(device.type, torch.bfloat16, enabled=row.bf16):
            loss = loss_of(net(shown["image"].contiguous(memory_format=layout)), shown["mask"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 5.0)
        optimizer.step()
        optimizer.zero_grad()

    return net, image, step


def seconds_of(work: Callable[[], object], device: torch.device, *, times: int) -> float:
    """Seconds of one call, after some that are not counted."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for _ in range(min(WARM_UP, times)):
        work()
    wait()
    start = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return (time.perf_counter() - start) / times


def rates(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """FLOPs a second of a matrix product, and bytes a second of a copy, both large."""
    n = 8192 if device.type == "cuda" else 1024
    one, other = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    product = 2 * n**3 / seconds_of(lambda: one @ other, device, times=10)
    source = torch.empty(n * n, device=device)
    copied = torch.empty_like(source)
    copy = seconds_of(lambda: copied.copy_(source), device, times=10)
    return product, 2 * source.numel() * source.element_size() / copy


def floor_of(net: nn.Module, image: Tensor, *, bf16: bool) -> tuple[float, float]:
    """FLOPs and bytes that a training step cannot do without."""
    outputs = 0

    def count(_: nn.Module, __: object, output: Tensor) -> None:
        nonlocal outputs
        outputs += output.numel()

    leaves = [module for module in net.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net.forward(image)
    for hook in hooks:
        hook.remove()
    weights = sum(p.numel() for p in net.parameters())
    moved = 4 * outputs * (2 if bf16 else 4) + 10 * weights * 4
    return 3.0 * counter.get_total_flops(), float(moved)


def busy(step: Callable[[], None], device: torch.device) -> float | None:
    """Share of the time in which a kernel runs; None where there are none."""
    if device.type != "cuda":
        return None
    with profile(activities=[ProfilerActivity.CUDA]) as watched:
        start = time.perf_counter()
        for _ in range(WARM_UP):
            step()
        torch.cuda.synchronize(device)
        whole = time.perf_counter() - start
    kernels = sum(event.self_device_time_total for event in watched.key_averages())
    return float(kernels / 1e6 / whole)


def measure(report: Report, row: Row, device: torch.device, steps: int, peaks: Any) -> None:
    net, image, step = step_of(row, device)
    flops, moved = floor_of(net, image, bf16=row.bf16)
    taken = seconds_of(step, device, times=steps)
    product, copy = peaks[row.bf16]
    floor = max(flops / product, moved / copy)
    report.add(row.name, 1e3 * taken, "ms a step")
    report.add("   volumes", row.batch / taken, "a second", wanted=row.wanted_volumes)
    report.add("   step over its floor", taken / floor, "x")
    share = busy(step, device)
    report.add("   GPU busy", share and 100 * share, "%", wanted=">= 90 %")
    torch.compiler.reset()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=50)
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type != "cuda":
        report = Report("gpu_on_cpu", hardware=f"{device}: not what this is for")
    elif torch.cuda.is_available():
        report = Report("gpu", hardware=torch.cuda.get_device_name(device))
    else:
        if not (RESULTS / "gpu.json").is_file():
            nothing_measured(args.size).finish()
        print("no GPU here: not measured")
        return
    for anchor in REPORTED:
        report.add(*anchor)
    kinds = {False: torch.float32, True: torch.bfloat16}
    peaks = {bf16: rates(device, dtype) for bf16, dtype in kinds.items()}
    for bf16, (product, copy) in peaks.items():
        report.add(f"matrix product, {'bf16' if bf16 else 'fp32'}", product / 1e12, "TFLOP/s")
        report.add("   copy", copy / 1e9, "GB/s")
    for row in rows(args.size):
        if device.type == "cuda" or not row.compiled:
            measure(report, row, device, args.steps, peaks)
    report.finish(write=device.type == "cuda")


def nothing_measured(size: int) -> Report:
    report = Report("gpu", hardware="no GPU was at hand")
    for anchor in REPORTED:
        report.add(*anchor)
    for row in rows(size):
        report.add(row.name, None, "ms a step")
        if row.wanted_volumes:
            report.add("   volumes", None, "a second", wanted=row.wanted_volumes)
        report.add("   GPU busy", None, "%", wanted=">= 90 %")
    return report


if __name__ == "__main__":
    main()
