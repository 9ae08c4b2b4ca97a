"""A small data set of numbers in files, and how it is prepared."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medlight.core.case import Case
from medlight.core.file_ref import FileRef
from medlight.core.grid import Grid
from medlight.io.store.case_file import PreparedCase
from medlight.io.store.store import Store
from medlight.io.store.stored_cases import StoredCases

RECIPE = {"transforms.spacing_mm": None}


class Numbers:
    """Cases whose files hold an array each; counts what is prepared."""

    def __init__(self, folder: Path, cases: int = 6) -> None:
        self.folder = folder
        self.cases: list[Case] = []
        self.built: list[str] = []
        for number in range(cases):
            self.add(number)

    def add(self, number: int, values: np.ndarray | None = None) -> Case:
        random = np.random.default_rng(number)
        path = self.folder / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, random.normal(size=(2, 5, 6, 4 + number % 3)) if values is None else values)
        case = Case(id=f"case_{number}", patient=str(number), files={"image": FileRef.of(path)})
        if case not in self.cases:
            self.cases.append(case)
        return case

    def build(self, case: Case) -> PreparedCase:
        self.built.append(case.id)
        image = np.load(case.files["image"]).astype(np.float32)
        grid = Grid(image.shape[1:], np.diag([1, 2, 3, 1.0]))
        mask = (image[:1] > 0).astype(np.int64)
        return PreparedCase(image=image, mask=mask, source_grid=grid, grid=grid, label_range=(0, 1))

    def open(
        self, store: Store, recipe: Mapping[str, Any] = RECIPE, *, check: bool = False
    ) -> StoredCases:
        self.built.clear()
        return store.open(self.cases, name="numbers", recipe=recipe, build=self.build, check=check)

    def elsewhere(self, folder: Path) -> "Numbers":
        return Numbers(folder)

    @staticmethod
    def whole(stored: StoredCases, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Image, with its scale, and mask."""
        shape = tuple(stored.shapes[row])
        image = np.empty((stored.channels, *shape), np.float32)
        mask = np.empty((1, *shape), np.int64)
        stored.read(row, (slice(None),) * len(shape), image, mask)
        spatial = (-1, *(1,) * len(shape))
        return image * stored.scale[row].reshape(spatial) + stored.shift[row].reshape(spatial), mask


@pytest.fixture
def numbers(tmp_path: Path) -> Numbers:
    return Numbers(tmp_path / "source")


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Store]:
    """A store in one and the same folder, with the options given."""

    def made(**options: Any) -> Store:
        return Store(folder=tmp_path / "store", num_workers=2, **options)

    return made
