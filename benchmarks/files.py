"""Reading and writing .nii.gz: medlight (isal) against nibabel (Python's gzip, level 1)."""

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from harness import Report, interleaved
from padded import padded_ct, saved_by_nibabel

from medlight.io.nifti import load_nifti, read_nifti, write_nifti


def main() -> None:
    values, grid = padded_ct()
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = Path(folder) / "theirs.nii.gz", Path(folder) / "ours.nii.gz"
        saved_by_nibabel(theirs, values, grid)
        grid = read_nifti(theirs)[1]
        write_nifti(ours, values, grid)
        for path in (theirs, ours):
            for voxels in (load_nifti(path)[1], np.asarray(nib.load(path).dataobj)):
                np.testing.assert_array_equal(voxels, values)
            np.testing.assert_array_equal(read_nifti(path)[0][0], values)
        one, other = (nib.load(path).header for path in (theirs, ours))
        differ = [key for key in one if one[key].tobytes() != other[key].tobytes()]
        assert set(differ) <= {"scl_slope", "scl_inter"}, differ  # 1 and 0, where theirs says none

        report = Report("files")
        timings = interleaved(
            {
                "read, nibabel": lambda: np.asarray(nib.load(theirs).dataobj),
                "read, medlight": lambda: load_nifti(theirs),
                "read as float32, channel first, nibabel": lambda: np.ascontiguousarray(
                    nib.load(theirs).get_fdata(dtype=np.float32)[None]
                ),
                "read as float32, channel first, medlight": lambda: read_nifti(theirs),
                "write, nibabel": lambda: saved_by_nibabel(theirs, values, grid),
                "write, medlight": lambda: write_nifti(ours, values, grid),
            },
            rounds=5,
        )
        report.add_timings(timings)
        for what, wanted in (
            ("read", ">= 2"),
            ("read as float32, channel first", ""),
            ("write", ">= 4"),
        ):
            slow, fast = f"{what}, nibabel", f"{what}, medlight"
            report.add_ratio(f"{what}: faster than nibabel", timings, slow, fast, wanted=wanted)
        size = ours.stat().st_size / theirs.stat().st_size
        report.add("write: size over nibabel's", size, "x", wanted="<= 1.15")
        report.finish()


if __name__ == "__main__":
    main()
