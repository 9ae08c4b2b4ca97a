"""Another voxel size: medlight against MONAI's Spacing, on the same grid."""

import numpy as np
import torch
from harness import Report, interleaved
from monai.data import MetaTensor
from monai.transforms import Spacing
from padded import padded_ct

from medlight.core.grid import Grid
from medlight.transforms.resample import resample_to_spacing

SPACINGS = {"to 1.5 x 1.5 x 2 mm": (1.5, 1.5, 2.0), "to 1 x 1 x 1 mm": (1.0, 1.0, 1.0)}
OWN = (0.8, 0.8, 1.25)


def main() -> None:
    torch.set_num_threads(1)
    values, _ = padded_ct()
    image = torch.from_numpy(values.astype(np.float32))[None]
    grid = Grid(values.shape, np.diag([*OWN, 1.0]))
    given = MetaTensor(image, affine=torch.from_numpy(grid.affine))
    mask = (image > 100).to(torch.uint8)
    given_mask = MetaTensor(mask, affine=torch.from_numpy(grid.affine))
    report = Report("resample")
    for what, spacing in SPACINGS.items():
        for kind, voxels, wrapped, mode in (
            ("image", image, given, "bilinear"),
            ("mask", mask, given_mask, "nearest"),
        ):
            monai = Spacing(spacing, mode=mode)
            nearest = mode == "nearest"
            theirs = monai(wrapped).as_tensor()
            ours, _ = resample_to_spacing(voxels, grid, spacing, nearest=nearest)
            span = float(theirs.max() - theirs.min())
            difference = float((theirs - ours).abs().max()) / span
            timings = interleaved(
                {
                    f"{kind} {what}, MONAI": lambda monai=monai, wrapped=wrapped: monai(wrapped),
                    f"{kind} {what}, medlight": (
                        lambda voxels=voxels, spacing=spacing, nearest=nearest: resample_to_spacing(
                            voxels, grid, spacing, nearest=nearest
                        )
                    ),
                },
                rounds=3,
            )
            report.add_timings(timings)
            theirs_took, ours_took = (timing.median for timing in timings.values())
            share = ours_took / theirs_took
            report.add(f"{kind} {what}: share of MONAI's time", share, "x", wanted="<= 0.6")
            bound = "<= 0.001 of the range"
            report.add(f"{kind} {what}: largest difference", difference, "", wanted=bound)
    report.finish()


if __name__ == "__main__":
    main()
