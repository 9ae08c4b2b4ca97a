"""MedNIST in all its layouts, with the traps of the real one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medlight.core.errors import DataError, DataNotFoundError, SplitError
from medlight.core.split import make_split
from medlight.datasets.mednist import CLASSES, MedNISTDataModule
from medlight.transforms.radiograph import Radiograph


def picture(path: Path, seed: int, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (64, 64)).astype("u1")
    Image.fromarray(values).convert(mode).save(path)
    return path


def module(root: Path, **options: object) -> MedNISTDataModule:
    return MedNISTDataModule(root=root, cache=root.parent / "cache", **options)  # type: ignore[arg-type]


@pytest.fixture
def official(tmp_path: Path) -> Path:
    MedNISTDataModule.fake(tmp_path / "data", cases=60)
    return tmp_path / "data" / "MedNIST"


def test_official_layout(official: Path) -> None:
    for root in (official, official.parent):
        index = module(root).index()
        assert index.labels.names == CLASSES
        assert len(index) == 60
        assert not index.public  # the right names prove nothing
        assert index["HeadCT/000000"].tags["HeadCT"] == 1
        assert sum(index["HeadCT/000000"].tags.values()) == 1


def test_class_order_is_ascii(official: Path) -> None:
    assert module(official).index().labels.names[2:4] == ("CXR", "ChestCT")


def test_mirror_layout(official: Path) -> None:
    expected = module(official).index()
    official.rename(official.with_name("resized"))
    index = module(official.parent).index()
    assert (index.ids, index.patients) == (expected.ids, expected.patients)


@pytest.mark.parametrize("kind", ["gztar", "zip"])
def test_archive(official: Path, tmp_path: Path, kind: str) -> None:
    expected = module(official).index()
    archive = shutil.make_archive(str(tmp_path / "MedNIST"), kind, official.parent)
    shutil.rmtree(official)
    for root in (Path(archive), tmp_path):
        assert module(root).index().fingerprint() == expected.fingerprint()


def test_constant_picture_gives_no_nan(official: Path) -> None:
    from medlight.transforms.radiograph import Radiograph

    data = module(official, transforms=Radiograph(), fold="all", batch_size=60)
    batch = next(iter(data.train_dataloader()))
    assert np.isfinite(batch["image"].numpy()).all()
    assert any(image.max() == image.min() for image in batch["image"])


def test_blocks_and_copies_are_one_patient(tmp_path: Path) -> None:
    root = tmp_path / "MedNIST"
    for number in (0, 49, 50, 99, 100, 200):
        picture(root / "A" / f"{number:06d}.png", number)
        picture(root / "B" / f"{number:06d}.png", 1000 + number)
    shutil.copy(root / "A" / "000099.png", root / "A" / "000200.png")
    index = module(root).index()
    patient = dict(zip(index.ids, index.patients, strict=True))
    assert patient["A/000000"] == patient["A/000049"]
    assert patient["A/000050"] == patient["A/000099"] == patient["A/000200"]
    assert len({patient[f"A/{n:06d}"] for n in (0, 50, 100)}) == 3
    assert len(set(patient.values())) == 3 + 4
    assert not {p for c, p in patient.items() if c[0] == "A"} & {
        p for c, p in patient.items() if c[0] == "B"
    }
    alone = module(root, group_size=1).index()
    assert len(set(alone.patients)) == 11


def test_copies_across_classes_demand_one_patient(tmp_path: Path) -> None:
    root = tmp_path / "MedNIST"
    for kind, number in (("A", 0), ("A", 50), ("B", 0), ("B", 50)):
        picture(root / kind / f"{number:06d}.png", number + ord(kind))
    shutil.copy(root / "A" / "000050.png", root / "B" / "000000.png")
    index = module(root).index()
    assert index["A/000050"].patient == index["B/000000"].patient


def test_copies_are_found_again_after_a_change(official: Path) -> None:
    before = module(official).index()
    assert module(official).index().patients == before.patients
    shutil.copy(official / "Hand" / "000050.jpeg", official / "Hand" / "000450.jpeg")
    after = module(official).index()
    assert (
        after["Hand/000050"].patient
        == after["Hand/000450"].patient
        != before["Hand/000450"].patient
    )


def split_layout(root: Path, sides: tuple[str, ...] = ("train", "val", "test")) -> Path:
    for k, side in enumerate(sides):
        for kind in "AB":
            for number in range(4):
                picture(root / side / kind / f"{number}.png", 100 * k + 10 * ord(kind) + number)
    return root


@pytest.mark.parametrize("inner", [".", "medmnist", "MedNIST"])
def test_layout_that_comes_split(tmp_path: Path, inner: str) -> None:
    split_layout(tmp_path / "data" / inner)
    data = module(tmp_path / "data")
    assert {s: len(getattr(data.split, s)) for s in ("train", "val", "test")} == {
        "train": 8,
        "val": 8,
        "test": 8,
    }
    assert data.split.fold == "own"
    assert data.split.train[0] == "train/A/0"
    assert data.cases.labels.names == ("A", "B")
    assert not data.cases.public
    with pytest.raises(SplitError, match=r"data\.fold=1"):
        make_split(data.cases, fold=1, folds=5, val_fraction=0.1)


def test_split_without_validation_makes_one(tmp_path: Path) -> None:
    split = module(split_layout(tmp_path / "data", ("train", "test"))).split
    assert len(split.test) == 8
    assert split.val
    assert len(split.train) + len(split.val) == 8
    assert all(case.startswith("train/") for case in split.val)


def test_copies_in_data_that_comes_split(tmp_path: Path) -> None:
    root = split_layout(tmp_path / "data")
    shutil.copy(root / "train" / "A" / "0.png", root / "train" / "A" / "1.png")
    shutil.copy(root / "train" / "A" / "0.png", root / "test" / "A" / "0.png")
    data = module(root)
    assert data.cases["train/A/0"].patient == data.cases["train/A/1"].patient
    assert data.cases["test/A/0"].patient != data.cases["train/A/0"].patient
    assert len(data.split.test) == 8


def test_any_picture_can_be_grey(tmp_path: Path) -> None:
    root = tmp_path / "data"
    grey = picture(root / "A" / "a.PNG", 0)
    values = np.asarray(Image.open(grey))
    Image.fromarray(values).convert("RGB").save(root / "A" / "b.png")
    Image.fromarray(values.astype("u2") * 257).save(root / "A" / "c.png")
    for name in ("d.JPG", "e.jpeg", "f.JpEg"):
        picture(root / "B" / name, 1)
    (root / "A" / "._a.png").write_bytes(b"litter")
    (root / "A" / "notes.txt").write_text("not a picture")
    (root / "empty class").mkdir()
    with pytest.raises(DataError, match=r"transforms\.channels=1 or 3"):
        module(root, fold="all", batch_size=6, val_fraction=0).setup()
    grey_only = Radiograph(channels=1)
    data = module(root, fold="all", batch_size=6, val_fraction=0, transforms=grey_only)
    assert data.cases.ids == ("A/a", "A/b", "A/c", "B/d", "B/e", "B/f")
    assert data.cases.labels.names == ("A", "B")
    whole = data._dataset(data.cases.ids)
    for row in range(3):
        np.testing.assert_allclose(whole[row]["image"][0].numpy(), values / 255, atol=1e-6)
    assert next(iter(data.train_dataloader()))["image"].shape == (6, 1, 64, 64)


def test_names_with_odd_characters(tmp_path: Path) -> None:
    for kind in ("benign", "malignant"):
        picture(tmp_path / "data" / kind / f"{kind} (1).png", len(kind))
    assert module(tmp_path / "data").index().ids == ("benign/benign__1_", "malignant/malignant__1_")


def test_unreadable_picture_is_named(official: Path) -> None:
    (official / "CXR" / "000000.jpeg").write_bytes(b"")
    data = module(official, fold="all", batch_size=60)
    with pytest.raises(DataError, match=r"CXR/000000\.jpeg: is empty"):
        next(iter(data.train_dataloader()))


def test_folder_of_something_else(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "only" / "a.png", 0)
    with pytest.raises(DataNotFoundError, match=str(tmp_path / "data")):
        module(tmp_path / "data").index()


def test_one_class_and_folders_within_class_folders_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one/benign/1", "nested/benign/P00/1", "nested/malignant/P01/1"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("L", (8, 8), len(name)).save(tmp_path / f"{name}.png")
    with pytest.raises(DataNotFoundError, match="benign is the only folder of pictures; put"):
        module(tmp_path / "one").index()
    with pytest.raises(DataNotFoundError, match=r"folders such as benign/P00; name pictures <cla"):
        module(tmp_path / "nested").index()
    for kind in ("benign", "malignant"):
        Image.new("L", (8, 8), len(kind)).save(tmp_path / f"nested/{kind}/extra.png")
    assert len(module(tmp_path / "nested").index()) == 2
    assert "below the class folders are left out: benign/P00; move them up" in caplog.text


def test_files_that_are_no_pictures_are_counted(
    official: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("Hand/a.dcm", "Hand/b.dcm", "CXR/c.webp"):
        (official / name).write_bytes(b"DICM")
    assert len(module(official).index()) == 60
    assert caplog.messages == ["Files that are no pictures are left out: 2 .dcm, c.webp"]


@pytest.mark.parametrize("other", ["Hand ", "hand", "H\u200band"])
def test_class_folders_that_look_the_same_are_refused(tmp_path: Path, other: str) -> None:
    MedNISTDataModule.fake(tmp_path, cases=12)
    shutil.copytree(tmp_path / "MedNIST" / "Hand", tmp_path / "MedNIST" / other)
    with pytest.raises(DataError, match="look the same, but would be two classes"):
        _ = MedNISTDataModule(root=tmp_path, cache=tmp_path / "cache").full_index
