"""Named instances of files that a run directory or a data set should not hold."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medlight.cli.config import load_config
from medlight.core.errors import ConfigError, DataError, MedlightError
from medlight.data.exclusions import withdrawn_patients
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.io.read import read_image
from medlight.jobs.mask_pairs import read_label_names
from medlight.runs.case_table import read_case_table
from medlight.runs.directory import RunDirectory

ALIASES = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    "text", ["[" * 3000, ALIASES, "&a [*a]", "- " * 3000, "{" * 3000, "x: !!python/name:os.system"]
)
def test_a_config_that_grows_without_end_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(DataError, match=r"config\.yaml: cannot be read"):
        RunDirectory(tmp_path).config()
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read"):
        load_config(tmp_path)


def test_a_packed_table_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "cases.csv.gz").write_bytes(gzip.compress(b"case,patient\n" + b"a,b\n" * 10**7))
    with pytest.raises(DataError, match=r"cases\.csv\.gz: .*100 times its own size"):
        read_case_table(tmp_path / "cases.csv.gz")


@pytest.mark.parametrize("number", [10**12, 3 * 10**9, 10**400, -1, [1, 10**12], 1e999])
def test_a_label_that_no_mask_can_hold_is_refused(tmp_path: Path, number: Any) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "a": number}}))
    with pytest.raises(DataError, match=r"dataset\.json: expected labels"):
        read_label_names([tmp_path], None)


MODALITY = {"0": "CT"}
DATASETS: dict[str, Any] = {
    "deep": '{"a":' * 100_000,
    "half a character": {"name": "\ud800"},
    "labels twice": {"labels": {"0": "a", "1": "a"}},
    "training is a number": {"training": 3},
    "leaves by a path": {"training": [{"image": "../../secret/a.nii.gz"}]},
    "leaves by the root": {"training": [{"image": "/etc/a.nii.gz"}]},
    "mask leaves": {"training": [{"image": "a.nii.gz", "label": "../b.nii.gz"}]},
    "a name that no file can have": {"training": [{"image": "x" * 300}]},
    "twice": {"training": [{"image": "a.nii.gz"}, {"image": "b/a.nii.gz"}]},
}


@pytest.mark.parametrize("kind", DATASETS)
def test_a_data_set_that_makes_no_sense_is_named(tmp_path: Path, kind: str) -> None:
    given = DATASETS[kind]
    good = {"labels": {"0": "b", "1": "l"}, "modality": MODALITY, "training": [{"image": "a.nii"}]}
    text = given if isinstance(given, str) else json.dumps({**good, **given})
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json: "):
        DecathlonDataModule(root=tmp_path, cache=tmp_path).index()


def test_a_withdrawal_list_in_latin_1_is_named(tmp_path: Path) -> None:
    (tmp_path / "withdrawn.txt").write_bytes("Müller".encode("latin-1"))
    with pytest.raises(DataError, match=r"withdrawn\.txt: cannot be read .*UTF-8"):
        withdrawn_patients([("a", "b")], [tmp_path / "withdrawn.txt"])


def test_voxels_that_start_nowhere_name_the_file(
    tmp_path: Path, nifti: Callable[..., Path]
) -> None:
    for offset in (np.inf, np.nan, -8.0):
        with pytest.raises(MedlightError, match=r"v\.nii: cannot be read"):
            read_image(nifti(offset))


@pytest.fixture
def nifti(tmp_path: Path) -> Callable[..., Path]:
    """Write a volume with this vox_offset."""

    def write(offset: float) -> Path:
        raw = bytearray(nib.Nifti1Image(np.zeros((3, 3, 3), "i2"), np.eye(4)).to_bytes())
        raw[108:112] = np.array([offset], "<f4").tobytes()
        (tmp_path / "v.nii").write_bytes(raw)
        return tmp_path / "v.nii"

    return write
