"""What all tests share: drawn data, and real data where it is there."""

import os
from pathlib import Path

import pytest

from medlight.datasets.phantom import PhantomDataModule


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for real data, itself or by another fixture."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for a whole test run, whatever the number of its processes."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-cache"


@pytest.fixture(scope="session")
def phantom_folder(shared_cache: Path) -> Path:
    """A task folder in Decathlon format with ten small volumes."""
    return PhantomDataModule(cache=shared_cache, n_cases=10).folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets that MEDLIGHT_DATA names."""
    folder = os.environ.get("MEDLIGHT_DATA")
    if not folder:
        pytest.skip("MEDLIGHT_DATA is not set: no real data to test on")
    return Path(folder)
