"""What a training step takes on a GPU: Task04 patches, and generated volumes of 4x128^3 at batch 2.

Not measured yet: it needs a GPU. Each row is a net, a shape and a setting (precision,
channels_last, compile): milliseconds a step and volumes a second, over steps that are not the
first. Beside it stands what others report: 6.74 volumes/s of 4x128^3 on one A100 with AMP
(NVIDIA's nnU-Net on Lightning, batch 2).
Run: `python benchmarks/gpu.py [--device cpu --size 32 --steps 2]`.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from functools import partial

import torch
from harness import Report
from monai.networks.nets import DynUNet, UNet
from torch import Tensor, nn

from medlight.losses.soft_dice import DiceCE

WARM_UP = 5
NETS: dict[str, Callable[..., nn.Module]] = {
    "UNet, 1.2 M": partial(
        UNet, 3, channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=2, norm="batch"
    ),
    "DynUNet": partial(
        DynUNet,
        3,
        kernel_size=[3] * 5,
        strides=[1, 2, 2, 2, 2],
        upsample_kernel_size=[2] * 4,
        norm_name="instance",
    ),
}


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_a_step(
    net: nn.Module, image: Tensor, mask: Tensor, *, precision: torch.dtype, steps: int
) -> float:
    """Forward, backward and AdamW, as a training does them."""
    device = image.device
    optimizer = torch.optim.AdamW(net.parameters(), fused=device.type == "cuda")
    loss_of = DiceCE()
    start = 0.0
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            synchronize(device)
            start = time.perf_counter()
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = loss_of(net(image), mask)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    synchronize(device)
    return (time.perf_counter() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=50)
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no GPU here: not measured")
        return
    report = Report("gpu")
    shapes = {"4x128^3": (4, (args.size,) * 3, 2), "Task04": (1, (40, 56, 40), 9)}
    settings = itertools.product((torch.float32, torch.bfloat16), (False, True), (False, True))
    for (precision, last, compiled), (name, build), (
        data,
        (channels, shape, batch),
    ) in itertools.product(settings, NETS.items(), shapes.items()):
        if compiled and device.type == "cpu":
            continue
        image = torch.randn(batch, channels, *(n - n % 16 for n in shape), device=device)
        mask = torch.randint(0, 3, (batch, 1, *image.shape[2:]), device=device)
        net = build(in_channels=channels, out_channels=3).to(device)
        if last:
            net = net.to(memory_format=torch.channels_last_3d)
            image = image.contiguous(memory_format=torch.channels_last_3d)
        net = torch.compile(net) if compiled else net
        taken = seconds_a_step(net, image, mask, precision=precision, steps=args.steps)
        words = [name, data, str(precision).removeprefix("torch.")]
        words += ["channels last"] * last + ["compiled"] * compiled
        report.add(", ".join(words), 1000 * taken, "ms a step", volumes_per_s=batch / taken)
    report.finish()


if __name__ == "__main__":
    main()
