"""When a prediction is made anew."""

import os
import time
from pathlib import Path

from medlight.io.inputs import InputCase
from medlight.jobs.predict import cache_key


def test_an_image_that_was_replaced_is_predicted_again(tmp_path: Path) -> None:
    """Also by one of the same size and time stamp."""
    image = tmp_path / "a.nii.gz"
    image.write_bytes(b"voxels")
    case = InputCase("a", (image,))
    before, stat = cache_key(case, {}), image.stat()
    (tmp_path / "b").write_bytes(b"others")
    os.utime(tmp_path / "b", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert cache_key(case, {}) == before
    time.sleep(0.02)  # of a file system's clock
    (tmp_path / "b").replace(image)
    assert image.stat().st_mtime_ns == stat.st_mtime_ns
    assert cache_key(case, {}) != before
