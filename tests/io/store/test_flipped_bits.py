"""Bits that flipped on the disk are noticed when a case is used for the first time."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medlight.core.errors import MALFORMED
from medlight.data.dataset import CaseDataset
from medlight.datasets.phantom import PhantomDataModule
from medlight.io.store.case_file import DamagedError, read_case_header
from medlight.io.store.head_check import check_head
from medlight.io.store.store import Store

Numbers = Any
EVERYTHING = (slice(None),) * 3


def flip(path: Path, role: str) -> None:
    """One bit in the middle of an array; size and times of the file stay."""
    stat, place = path.stat(), read_case_header(path).arrays[role]
    content = bytearray(path.read_bytes())
    content[place.start + place.length // 2] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("memory_gb", [0, 1])
@pytest.mark.parametrize("role", ["image", "mask", "marks"])
def test_a_flipped_bit_is_found_at_the_first_use(
    numbers: Numbers, store: Callable[..., Store], role: str, memory_gb: int
) -> None:
    opened = store(memory_gb=memory_gb)
    flip(numbers.open(opened).paths[2], role)
    stored = numbers.open(opened)
    with pytest.raises(DamagedError, match=rf"'case_2'.*its {role} .*prepare.*job\.check=true"):
        opened.load_into_memory(stored) or stored.class_locations(2)
    with pytest.raises(DamagedError, match="'case_2'"):
        stored.read(2, EVERYTHING, np.empty((2, *stored.shapes[2]), np.float32), None)
    stored.class_locations(1)


def test_what_one_process_compared_its_workers_do_not_compare_again(
    numbers: Numbers, store: Callable[..., Store]
) -> None:
    stored = numbers.open(store())
    child = os.fork()
    if not child:
        try:
            stored.class_locations(2)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert stored._verified.tolist() == [0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("memory_gb", [0, 1])
def test_training_makes_a_damaged_case_again(
    tmp_path: Path, shared_cache: Path, caplog: pytest.LogCaptureFixture, memory_gb: int
) -> None:
    data = PhantomDataModule(cache=shared_cache, n_cases=10)
    store = Store(folder=tmp_path, memory_gb=memory_gb)

    def sample() -> np.ndarray:
        cases = CaseDataset(data.index(), store=store)
        cases.load_into_memory()
        return np.asarray(cases[3]["image"])

    good = sample()
    path = CaseDataset(data.index(), store=store).stored.paths[3]
    flip(path, "image")
    np.testing.assert_array_equal(sample(), good)
    assert f"{path}: its image does not have the checksum" in caplog.text


@pytest.mark.parametrize(
    ("key", "value"), [("source", [3, 4, 5, 5]), ("labels", [-1e308, 0]), ("labels", [0, 10**30])]
)
def test_a_head_that_no_case_has_is_not_used(
    numbers: Numbers, store: Callable[..., Store], key: str, value: list[Any]
) -> None:
    """With a right checksum: a bare ValueError or OverflowError ended the training."""
    header = read_case_header(numbers.open(store()).paths[0])
    metadata = {**header.metadata, key: value}
    if key == "source":
        metadata[key] = {**header.metadata[key], "shape": value}
    check_head(header.metadata, header.arrays)
    with pytest.raises(MALFORMED):
        check_head(metadata, header.arrays)
