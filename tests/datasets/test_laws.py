"""What holds for every data set. A new one is tested by being there."""

import hashlib
import inspect
import pkgutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import medlight.datasets
from medlight.core.errors import DataNotFoundError
from medlight.core.grid import Grid
from medlight.core.split import SUBSETS, make_split
from medlight.data.datamodule import DataModule
from medlight.datasets.phantom import Phantom

MODULES = [
    import_module(f"medlight.datasets.{module.name}")
    for module in pkgutil.iter_modules(medlight.datasets.__path__)
]
DATASETS = [
    member
    for module in MODULES
    for _, member in inspect.getmembers(module, inspect.isclass)
    if issubclass(member, DataModule)
    and not inspect.isabstract(member)
    and member.__module__ == module.__name__
]
every_dataset = pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.__name__)


def made(dataset: type[DataModule], place: Path, **options: object) -> DataModule:
    if not (place / "data").exists():
        dataset.fake(place / "data", cases=12, seed=0)
    return dataset(root=place / "data", cache=place / "cache", **options)  # type: ignore[arg-type]


def test_some_are_found() -> None:
    assert len(DATASETS) >= 5


@every_dataset
def test_index(dataset: type[DataModule], tmp_path: Path) -> None:
    index = made(dataset, tmp_path).cases
    assert len(index) >= 10
    assert len(set(index.ids)) == len(index)
    for case in index:
        assert set(case.id) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/"
        )
        assert all(
            path.is_file() and not path.name.startswith("._")
            for ref in case.files.values()
            for path in ref.paths
        )
    assert all(source.name and source.root.is_dir() for source in index.sources)


@every_dataset
def test_data_sheet(dataset: type[DataModule]) -> None:
    sheet = inspect.getdoc(dataset) or ""
    for heading in ("ource", "icence", "Layout:", "Classes:", "Split:", "Caveats:", "Citation:"):
        assert heading in sheet, f"{dataset.__name__}'s docstring lacks {heading!r}"


@every_dataset
@pytest.mark.parametrize("fold", [None, 0, 4, "all"])
def test_patients_stay_together(
    dataset: type[DataModule], tmp_path: Path, fold: int | str | None
) -> None:
    module = made(dataset, tmp_path, fold=fold)
    split, patient = module.split, dict(zip(module.cases.ids, module.cases.patients, strict=True))
    subsets = [{patient[case] for case in getattr(split, side)} for side in SUBSETS]
    assert set.union(*subsets) == set(patient.values())
    assert sum(map(len, subsets)) == len(set(patient.values()))
    assert sorted(split.train + split.val + split.test) == sorted(module.cases.ids)
    if fold == "all":
        assert not split.val
        assert not split.test
    else:
        assert split.val
        assert split.test


@every_dataset
def test_every_case_is_tested_once(dataset: type[DataModule], tmp_path: Path) -> None:
    index = made(dataset, tmp_path).cases
    tested = [
        c for k in range(5) for c in make_split(index, fold=k, folds=5, val_fraction=0.1).test
    ]
    assert sorted(tested) == sorted(index.ids)


@every_dataset
def test_split_does_not_depend_on_the_order_of_the_listing(
    dataset: type[DataModule], tmp_path: Path
) -> None:
    index = made(dataset, tmp_path).cases
    shuffled = index.subset(np.random.default_rng(0).permutation(index.ids).tolist())
    one, other = (make_split(i, fold=1, folds=5, val_fraction=0.1) for i in (index, shuffled))
    assert one.hash == other.hash


@every_dataset
def test_a_batch_is_what_tasks_expect(dataset: type[DataModule], tmp_path: Path) -> None:
    module = made(dataset, tmp_path, batch_size=3, patch="auto")
    module.setup()
    labels, n = module.spec.labels, module.spatial_dims
    assert module.spec.spatial_dims == n
    batch = next(iter(module.train_dataloader()))
    image = batch["image"]
    assert image.dtype == torch.float32
    assert image.shape[:2] == (3, module.spec.channels)
    assert image.shape[2:] == module.spec.patch
    assert torch.isfinite(image).all()
    assert batch["position"].tolist() == [0, 1, 2]
    if labels.kind == "mask":
        assert batch["mask"].dtype in (torch.uint8, torch.int16), "as it is stored"
        augmented = module.apply_augmentation(batch, epoch=0)["mask"]
        assert augmented.dtype == torch.int64
        assert torch.equal(augmented, batch["mask"].long())
        assert batch["mask"].shape == (3, 1, *image.shape[2:])
        learnt = batch["mask"][batch["mask"] != (-1 if (k := module.ignored_label) is None else k)]
        assert 0 <= learnt.min() <= learnt.max() < len(labels)
        assert len(module.modalities) in (0, module.spec.channels)
    if labels.kind == "multiclass":
        assert batch["label"].dtype == torch.int64
        assert batch["label"].shape == (3,)
        assert 0 <= batch["label"].min() <= batch["label"].max() < len(labels)


@every_dataset
def test_a_whole_case_knows_where_it_came_from(dataset: type[DataModule], tmp_path: Path) -> None:
    module = made(dataset, tmp_path)
    batch = next(iter(module.test_dataloader()))
    assert batch["case"][0] in module.split.test
    assert isinstance(batch["source_grid"][0], Grid)
    assert batch["source_grid"][0].ndim == module.spatial_dims
    if "mask" in batch:
        assert batch["reference"][0].shape == batch["source_grid"][0].shape


@every_dataset
def test_every_label_occurs(dataset: type[DataModule], tmp_path: Path) -> None:
    module = made(dataset, tmp_path)
    if module.cases.tags is not None:
        assert (module.cases.tags == 1).any(axis=0).all()
    else:
        seen = {int(v) for batch in module.test_dataloader() for v in batch["mask"].unique()}
        assert seen - {module.ignored_label} == set(range(len(module.cases.labels)))


@every_dataset
def test_fingerprint_does_not_change_when_the_folder_moves(
    dataset: type[DataModule], tmp_path: Path
) -> None:
    before = made(dataset, tmp_path / "here").cases
    (tmp_path / "here").rename(tmp_path / "there")
    after = made(dataset, tmp_path / "there").cases
    assert after.sources[0].root != before.sources[0].root
    assert after.fingerprint() == before.fingerprint()


@every_dataset
def test_missing_root_is_named(dataset: type[DataModule], tmp_path: Path) -> None:
    module = dataset(root=tmp_path / "nowhere", cache=tmp_path / "cache")
    if isinstance(module, Phantom):
        assert len(module.cases)  # it needs none
        return
    with pytest.raises(DataNotFoundError, match=str(tmp_path / "nowhere")):
        module.index()


@every_dataset
def test_miniature_is_the_same_every_time(dataset: type[DataModule], tmp_path: Path) -> None:
    def digest(folder: Path, seed: int) -> dict[str, str]:
        dataset.fake(folder, cases=6, seed=seed)
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        }

    first = digest(tmp_path / "a", 1)
    assert digest(tmp_path / "b", 1) == first
    assert digest(tmp_path / "c", 2) != first
