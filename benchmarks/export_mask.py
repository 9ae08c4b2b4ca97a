"""A mask of 512x512x200 from 1.5 mm back to the file's grid and written: medlight against MONAI's
Invertd and SaveImaged."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from harness import Report, interleaved
from monai.data import MetaTensor
from monai.transforms import AsDiscreted, Compose, Invertd, Orientationd, SaveImaged, Spacingd
from padded import padded_ct
from scipy.ndimage import gaussian_filter

from medlight.core.grid import Grid
from medlight.core.sample import Sample
from medlight.inference.resample_to_source import resample_to_source
from medlight.inference.sliding_window import Slabs
from medlight.io.read import read_mask
from medlight.io.write import write_mask
from medlight.transforms.volume import Volume

OWN, CLASSES = (0.8, 0.8, 1.25), 5


def main() -> None:
    torch.set_num_threads(1)
    values, _ = padded_ct()
    image = torch.from_numpy(values.astype(np.float32))[None]
    source = Grid(values.shape, np.diag([-OWN[0], -OWN[1], OWN[2], 1.0]))
    sample: Sample = {"image": image, "grid": source, "source": source}
    moved = Volume(spacing_mm=(1.5, 1.5, 1.5)).geometry(sample)
    tissue = np.digitize(moved["image"][0], [-300, -20, 90, 250])  # air, fat, soft, bright, bone
    shares = [gaussian_filter((tissue == k).astype(np.float32), 2) for k in range(CLASSES)]
    logits = torch.from_numpy(np.stack(shares).clip(1e-4)).log_()  # as soft as a net's answer

    before = Compose(
        [Orientationd("image", axcodes="RAS", labels=None), Spacingd("image", pixdim=(1.5,) * 3)]
    )
    theirs = before({"image": MetaTensor(image, affine=torch.from_numpy(source.affine))})
    assert theirs["image"].shape[1:] == logits.shape[1:]
    report = Report("export_mask")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def monai(*, soft: bool):
            invert = Invertd(
                "pred", before, orig_keys="image", nearest_interp=not soft, to_tensor=True
            )
            steps = [invert, AsDiscreted("pred", argmax=True)] if soft else [invert]
            after = Compose([*steps, SaveImaged(
                "pred", output_dir=folder / ("soft" if soft else "hard"), output_postfix="",
                separate_folder=False, resample=False, output_dtype=np.uint8, print_log=False,
            )])  # fmt: skip
            given = logits if soft else logits.argmax(0, keepdim=True).float()

            def work() -> None:
                pred = MetaTensor(given, affine=theirs["image"].affine)
                after({**theirs, "pred": pred})

            return work

        def ours() -> None:
            home = resample_to_source(Slabs(0, iter([logits])), moved["grid"], source)
            write_mask(folder / "ours.nii.gz", home.labels, source)

        timings = interleaved(
            {
                "Invertd of a mask, nearest, and SaveImaged": monai(soft=False),
                "Invertd of logits, AsDiscreted and SaveImaged": monai(soft=True),
                "medlight, of logits": ours,
            },
            rounds=3,
        )
        report.add_timings(timings)
        hard, soft, mine = (timing.median for timing in timings.values())
        report.add("share of the time for a mask", mine / hard, "x", wanted="<= 0.5")
        report.add("share of the time for logits", mine / soft, "x", wanted="<= 0.5")
        saved = next((folder / "soft").rglob("*.nii.gz"))
        one, two = read_mask(saved)[0], read_mask(folder / "ours.nii.gz")[0]
        report.add("labels equal to those of MONAI's logits", 100 * float((one == two).mean()), "%")
    report.finish()


if __name__ == "__main__":
    main()
