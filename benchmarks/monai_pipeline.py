"""Training from the store with `transforms=volume`, and with the same steps of MONAI named in yaml:
CPU time of an epoch of batches, and of an epoch of training a small 3-D UNet on them.

All that is not random is stored, of either; what is left differs only in who maps intensities.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import Report, interleaved
from monai.losses import DiceCELoss
from monai.networks.nets import UNet

from medlight.datasets.phantom import PhantomDataModule
from medlight.transforms.monai import Pipeline
from medlight.transforms.preprocessor import Preprocessor
from medlight.transforms.volume import Volume

SPACING, PATCH, SAMPLES = (1.5, 1.5, 1.5), (16, 16, 16), 200
BOTH = ["image", "mask"]


def step(name: str, keys: Any, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"monai.transforms.{name}", "keys": keys, **arguments}


STEPS = [
    step("Orientationd", BOTH, axcodes="RAS"),
    step("Spacingd", BOTH, pixdim=list(SPACING), mode=["bilinear", "nearest"]),
    step("NormalizeIntensityd", "image", channel_wise=True),
]


def data_with(transforms: Preprocessor, folder: Path) -> PhantomDataModule:
    data = PhantomDataModule(
        cache=folder, n_cases=24, batch_size=2, epoch_samples=SAMPLES, patch=PATCH,
        transforms=transforms,
    )  # fmt: skip
    data.setup()
    return data


def read_epoch(data: PhantomDataModule) -> int:
    return sum(len(batch["image"]) for batch in data.train_dataloader())


def trainer_of(data: PhantomDataModule) -> Callable[[], None]:
    torch.manual_seed(0)
    net = UNet(3, 1, len(data.spec.labels), channels=(8, 16), strides=(2,))
    loss, optimizer = DiceCELoss(softmax=True, to_onehot_y=True), torch.optim.SGD(net.parameters())

    def epoch() -> None:
        for batch in data.train_dataloader():
            optimizer.zero_grad()
            loss(net(batch["image"]), batch["mask"]).backward()
            optimizer.step()

    return epoch


def main() -> None:
    report = Report("monai_pipeline")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        ours = data_with(Volume(spacing_mm=SPACING), Path(scratch))
        theirs = data_with(Pipeline(steps=STEPS), Path(scratch))
        read = interleaved(
            {"batches, volume": lambda: read_epoch(ours),
             "batches, MONAI's steps": lambda: read_epoch(theirs)}
        )  # fmt: skip
        trained = interleaved(
            {"training, volume": trainer_of(ours), "training, MONAI's steps": trainer_of(theirs)}
        )
    report.add_ratio("an epoch of batches, MONAI's steps over volume", read,
                     "batches, MONAI's steps", "batches, volume", wanted="<= 1.1")  # fmt: skip
    report.add_ratio("an epoch of training, MONAI's steps over volume", trained,
                     "training, MONAI's steps", "training, volume", wanted="<= 1.1")  # fmt: skip
    report.add_timings(read | trained)
    report.finish()


if __name__ == "__main__":
    main()
