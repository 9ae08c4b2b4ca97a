"""MONAI's tutorial recipe (spleen_segmentation_3d: UNet, Adam, cached volumes, Dice + CE) on the
hippocampus: started by `side_by_side.py`.

python monai_training.py <folder> <minutes, or full> : <folder>/cases.json names training images and
masks; weights go to <folder>/weights/<seconds>.pt; <folder>/images are predicted with the last.
python monai_training.py <folder> : they are predicted with each, to <folder>/masks/<seconds>.
"""

import json
import os
import sys
import time
from pathlib import Path

BATCH, EVERY, FULL = 4, 2, 600
"""Volumes in a batch; epochs between two weights that are kept; epochs of the tutorial."""


def main() -> None:
    import torch
    from monai.data import CacheDataset, DataLoader, Dataset
    from monai.inferers import sliding_window_inference
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNet
    from monai.transforms import (
        AsDiscreted,
        Compose,
        EnsureChannelFirstd,
        Invertd,
        LoadImaged,
        NormalizeIntensityd,
        Orientationd,
        RandFlipd,
        RandScaleIntensityd,
        RandShiftIntensityd,
        ResizeWithPadOrCropd,
        SaveImaged,
    )

    folder = Path(sys.argv[1])
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    both, window = ["image", "label"], (40, 56, 40)

    def read(keys: list[str]) -> list[object]:
        return [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            Orientationd(keys, axcodes="RAS", labels=None),
            NormalizeIntensityd("image"),
            ResizeWithPadOrCropd(keys, window),
        ]

    training = Compose(
        [
            *read(both),
            *(RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in range(3)),
            RandScaleIntensityd("image", factors=0.1, prob=0.5),
            RandShiftIntensityd("image", offsets=0.1, prob=0.5),
        ]
    )
    net = UNet(
        3, 1, 3, channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=2, norm="batch"
    ).to(device)

    def train(length: str) -> dict[str, float]:
        cases = json.loads((folder / "cases.json").read_text())
        cached = CacheDataset(cases, training, cache_rate=1.0, progress=False)
        loader = DataLoader(cached, batch_size=BATCH, shuffle=True)
        loss = DiceCELoss(to_onehot_y=True, softmax=True)
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        (folder / "weights").mkdir()
        spent, epoch, steps, over = 0.0, 0, 0, False
        while not over:
            start = time.time()
            net.train()
            for batch in loader:
                image, label = (batch[key].as_tensor().to(device) for key in both)
                optimizer.zero_grad()
                loss(net(image), label).backward()
                optimizer.step()
                steps += 1
            spent, epoch = spent + time.time() - start, epoch + 1
            over = epoch >= FULL if length == "full" else spent >= 60 * float(length)
            if epoch % EVERY == 0 or over:
                torch.save(net.state_dict(), folder / "weights" / f"{spent:.0f}.pt")
        return {"training": spent, "steps": steps}

    def predict(weights: Path) -> float:
        """Seconds a case."""
        net.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
        net.eval()
        home = Compose(
            [
                Invertd("pred", reading, orig_keys="image", nearest_interp=False),
                AsDiscreted("pred", argmax=True),
                SaveImaged(
                    "pred",
                    output_dir=folder / "masks" / weights.stem,
                    output_postfix="",
                    separate_folder=False,
                    print_log=False,
                ),
            ]
        )
        start = time.time()
        for sample in Dataset(images, reading):
            with torch.no_grad():
                image = sample["image"][None].to(device)
                sample["pred"] = sliding_window_inference(image, window, 4, net)[0]
            home(sample)
        return (time.time() - start) / len(images)

    reading = Compose(read(["image"]))
    images = [{"image": str(path)} for path in sorted((folder / "images").glob("*.nii.gz"))]
    if len(sys.argv) == 2:
        for weights in (folder / "weights").glob("*.pt"):
            predict(weights)
        return
    found = train(sys.argv[2])
    found["inference, a case"] = predict(max((folder / "weights").iterdir(), key=os.path.getmtime))
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__" and len(sys.argv) > 1:
    main()
