"""Samples from the store: the same from memory, from disk, alone, in batches, in workers."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medlight.core.errors import ConfigError, DataError
from medlight.core.sample import Sample
from medlight.data.dataset import CaseDataset, collate
from medlight.data.patch import clip_to_case, patch_starts
from medlight.data.sampling import SampleIndex
from medlight.datasets.phantom import Phantom2DDataModule, PhantomDataModule, PhantomMasksDataModule
from medlight.io.read import read_image, read_mask
from medlight.io.store.store import Store
from medlight.transforms.radiograph import Radiograph
from medlight.transforms.volume import Volume

INDICES = [SampleIndex(row, 3, position) for position, row in enumerate([2, 0, 5, 2, 1])]


def module(cache: Path, tmp_path: Path, *, memory_gb: float = 1.0, **options: Any) -> Any:
    store = Store(folder=tmp_path / "store", memory_gb=memory_gb)
    return PhantomDataModule(
        cache=cache, n_cases=10, store=store, **{"transforms": Volume(), **options}
    )


def dataset(data: Any, patch: tuple[int, ...] | None = None, **options: Any) -> CaseDataset:
    made: CaseDataset = data._dataset(data.cases.ids, **options)
    made = made.with_patch(patch)
    made.load_into_memory()
    return made


def test_a_whole_case_is_what_the_preset_makes_of_its_files(
    shared_cache: Path, tmp_path: Path
) -> None:
    data = module(shared_cache, tmp_path)
    cases = dataset(data, references=True)
    for row in (0, 4):
        case = data.cases[row]
        (image, grid), (mask, _) = read_image(case.files["image"]), read_mask(case.files["mask"])
        given: Sample = {"image": torch.from_numpy(image), "grid": grid, "source_grid": grid}
        given["mask"] = torch.from_numpy(mask)
        made, sample = Volume()(given), cases[row]
        np.testing.assert_allclose(sample["image"], made["image"], atol=1e-3)
        assert torch.equal(sample["mask"], made["mask"])
        assert sample["grid"] == made["grid"]
        assert sample["source_grid"] == grid
        assert torch.equal(sample["reference"], given["mask"][0])
        assert sample["case"] == case.id


@pytest.mark.parametrize("patch", [(16, 16, 16), (48, 8, 48), (64, 64, 64)])
@pytest.mark.parametrize("memory_gb", [0.0, 1.0])
def test_a_patch_is_a_part_of_the_whole(
    shared_cache: Path, tmp_path: Path, patch: tuple[int, ...], memory_gb: float
) -> None:
    data = module(shared_cache, tmp_path, memory_gb=memory_gb)
    cases = dataset(data, patch)
    for position in INDICES:
        whole, sample = cases[position.row], cases[position]
        random = np.random.default_rng([0, position.epoch, position.position])
        shape = tuple(whole["image"].shape[1:])
        first = patch_starts(np.array([shape]), patch, lambda _, random=random: random)[0]
        window, inside = clip_to_case(first, patch, shape)
        for start, inner, n, p in zip(first, inside, shape, patch, strict=True):
            assert 0 <= start <= n - p or (start <= 0 and inner.stop - inner.start == n)
        expected = torch.full((1, *patch), float(whole["image"].min()))
        expected[(slice(None), *inside)] = whole["image"][(slice(None), *window)]
        torch.testing.assert_close(sample["image"], expected, rtol=0, atol=1e-6)
        labels = torch.zeros((1, *patch), dtype=torch.uint8)
        labels[(slice(None), *inside)] = whole["mask"][(slice(None), *window)]
        assert torch.equal(sample["mask"], labels)


def test_memory_disk_and_batches_give_the_same(shared_cache: Path, tmp_path: Path) -> None:
    batches = []
    for memory_gb in (0.0, 1.0):
        cases = dataset(module(shared_cache, tmp_path, memory_gb=memory_gb), (24, 24, 24))
        assert (cases.in_memory is not None) == (memory_gb > 0)
        batches += [
            collate(cases.__getitems__(INDICES)),
            collate([cases[position] for position in INDICES]),
        ]
    for batch in batches[1:]:
        assert batch.keys() == batches[0].keys()
        assert all(torch.equal(batch[key], batches[0][key]) for key in batch)


def test_what_the_task_must_know_is_known_once_prepared(shared_cache: Path, tmp_path: Path) -> None:
    """No attribute prepares a store on the quiet."""
    data = module(shared_cache, tmp_path)
    for name in ("spec", "train_cases", "train_set"):
        with pytest.raises(ConfigError, match=r"are not prepared: call setup\(\)"):
            getattr(data, name)
    assert not (tmp_path / "store").exists()
    data.setup()
    first = data.train_set
    data.setup("fit")  # as Lightning does
    assert data.train_set is first
    assert data.spec.channels == data.train_cases.channels == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(shared_cache: Path, tmp_path: Path, workers: int) -> None:
    data = module(shared_cache, tmp_path, patch=(16, 16, 16), num_workers=workers)
    seen = torch.cat([batch["image"] for batch in data.train_dataloader()])
    alone = module(shared_cache, tmp_path, patch=(16, 16, 16))
    assert torch.equal(seen, torch.cat([batch["image"] for batch in alone.train_dataloader()]))


@pytest.mark.parametrize("kind", [Phantom2DDataModule, PhantomMasksDataModule])
def test_pictures_come_out_as_they_were_read(kind: Any, shared_cache: Path, tmp_path: Path) -> None:
    store = Store(folder=tmp_path / "store")
    data = kind(cache=shared_cache, n_cases=40, store=store, transforms=Radiograph(size=None))
    cases = dataset(data)
    batch = collate(cases.__getitems__(INDICES))
    for place, position in enumerate(INDICES):
        image, _ = read_image(data.cases[position.row].files["image"])
        np.testing.assert_allclose(batch["image"][place], image, rtol=1e-6)
        for key in {"label", "mask"} & {*batch}:
            assert (batch[key][place] == cases[position.row][key]).all()
    assert cases.stored._images[0].dtype == np.uint8
    assert cases.in_memory.stack() is not None, "small and of one shape: one array"


def test_folds_seeds_patches_and_intensities_rebuild_nothing(
    shared_cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module(shared_cache, tmp_path).prepare()
    caplog.set_level(logging.INFO, logger="medlight.io.store")
    caplog.clear()
    for options in (
        {"fold": 3},
        {"fold": "all"},
        {"seed": 5},
        {"batch_size": 2},
        {"modality": ["CT"], "transforms": Volume(window_hu=(0, 1))},
    ):
        data = module(shared_cache, tmp_path, patch=(16, 16, 16), **options)
        next(iter(data.train_dataloader()))
    assert caplog.text == ""
    module(shared_cache, tmp_path, transforms=Volume(spacing_mm=(2, 2, 2))).prepare()
    assert "transforms.spacing_mm changed from null to [2.0, 2.0, 2.0]" in caplog.text


def test_a_case_that_another_run_let_go_is_made_again(shared_cache: Path, tmp_path: Path) -> None:
    cases = dataset(module(shared_cache, tmp_path, memory_gb=0), (16, 16, 16))
    before = cases[INDICES[0]]["image"]
    cases.stored.paths[INDICES[0].row].unlink()
    assert torch.equal(cases[INDICES[0]]["image"], before)


def test_labels_that_are_not_declared(shared_cache: Path, tmp_path: Path) -> None:
    data = module(shared_cache, tmp_path, class_names=["background", "liver"])
    with pytest.raises(DataError, match=r"case '.*': the mask holds values from 0 to 3, but the"):
        dataset(data)[0]


def test_the_auto_patch_is_the_median_shape(shared_cache: Path, tmp_path: Path) -> None:
    data = module(shared_cache, tmp_path, patch="auto")
    shapes = [dataset(data)[row]["image"].shape[1:] for row in range(10)]
    train = [shapes[data.cases.ids.index(case)] for case in data.split.train]
    median = np.median(np.array([tuple(shape) for shape in train]), axis=0)
    data.setup()
    assert data.spec.patch == tuple(8 * int(np.ceil(n / 8)) for n in median)
