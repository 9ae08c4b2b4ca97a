"""What reading guesses or leaves out is a finding: a thickness of 0; and channels that
differ are found in the headers, before anything is trained."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medlight.audit.audit import audit
from medlight.audit.files import header_scan_issues
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.io.read import read_image
from tests.io.test_nifti_odd import NO_FORMS, content

RANDOM = np.random.default_rng(0)


def images(root: Path, names: list[str]) -> Index:
    return Index(
        labels=Labels(("a", "b"), "multiclass"),
        sources=[Source("D", root)],
        ids=[name.partition(".")[0] for name in names],
        patients=names,
        files={"image": names},
        tags=np.eye(2, dtype=np.float32)[np.arange(len(names)) % 2],
    )


@pytest.mark.parametrize(
    ("pixdim", "forms", "found"),
    [
        ([1, 0.5, 0.5, 0, 0, 0, 0, 0], NO_FORMS, True),
        ([1, 0.5, 0.5, 0, 0, 0, 0, 0], {"sform_code": 0}, True),
        ([1, 0.5, 0.5, 0, 0, 0, 0, 0], {"qform_code": 0}, False),
        ([1, 0.5, 0.5, 2, 0, 0, 0, 0], NO_FORMS, False),
    ],
    ids=["voxel sizes", "qform", "sform", "known"],
)
def test_a_thickness_of_0_is_found(
    tmp_path: Path, pixdim: list[float], forms: dict[str, int], found: bool
) -> None:
    (tmp_path / "a.nii").write_bytes(content(pixdim=pixdim, **forms))
    assert read_image(tmp_path / "a.nii")[1].caveats == (
        ("its header gives a voxel size of 0, which is read as 1 mm",) if found else ()
    )
    index = images(tmp_path, ["a.nii"])
    for issues in (audit(index)[0], list(header_scan_issues(index))):
        assert [issue.level for issue in issues if issue.kind == "voxel size"] == [
            "warning"
        ] * found


def test_colours_among_grey_pictures_are_found(tmp_path: Path) -> None:
    grey = RANDOM.integers(0, 256, (12, 17)).astype("u1")
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(grey).save(tmp_path / "b.png")
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "c.png")
    found = audit(images(tmp_path, ["a.png", "b.png", "c.png"]))[0]
    [issue] = [each for each in found if each.kind == "channels"]
    assert issue.cases == ("c",)


def test_channels_that_differ_are_found_in_the_headers(tmp_path: Path) -> None:
    for name, shape in (("a", (4, 5, 6)), ("b", (4, 5, 6)), ("c", (4, 5, 6, 2))):
        nib.save(nib.Nifti1Image(np.zeros(shape, "f4"), np.eye(4)), tmp_path / f"{name}.nii")
    [issue] = header_scan_issues(images(tmp_path, ["a.nii", "b.nii", "c.nii"]))
    assert (issue.level, issue.kind, issue.cases) == ("error", "channels", ("c",))
    assert "different numbers of channels, 1 (2), 2 (1)" in issue.message
