"""The store: random patches against nibabel, an epoch against MONAI, memory of 1,000 volumes."""

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from harness import Report, interleaved, resident_mb
from monai.data import DataLoader as MonaiLoader
from monai.data import PersistentDataset
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    ResizeWithPadOrCropd,
)
from padded import padded_ct, saved_by_nibabel

from medlight.core.case import Case
from medlight.core.grid import Grid
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.data.dataset import CaseDataset, collate
from medlight.data.sampling import SampleIndex, TrainBatchSampler
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.io.store.case_file import PreparedCase
from medlight.io.store.store import Store
from medlight.transforms.volume import Volume

PATCH = (128, 128, 128)
CODECS = {"none": ">= 200", "blosc2": ">= 80"}


def patches(report: Report, folder: Path) -> None:
    """One random 128^3 float32 patch, warm cache."""
    values, grid = padded_ct()
    packed = saved_by_nibabel(folder / "ct.nii.gz", values, grid)
    index = Index.from_records(
        labels=Labels(("background",), "mask"),
        sources=[Source(name="ct", root=folder)],
        records=[{"id": "ct", "patient": "ct", "files": {"image": packed.name}}],
    )
    draws = (SampleIndex(0, 0, position) for position in range(10**9))
    codecs = {c: w for c, w in CODECS.items() if c == "none" or importlib.util.find_spec(c)}
    taken: dict[str, Any] = {}
    for codec, wanted in codecs.items():
        store = Store(folder=folder / "store", codec=codec, memory_gb=0)
        cases = CaseDataset(index, store=store).with_patch(PATCH)
        np.testing.assert_array_equal(cases[0]["image"][0], values)
        side = f"128^3 patch, store.codec={codec}"
        times = interleaved({side: lambda cases=cases: cases[next(draws)]}, rounds=7, calls=20)
        nibabel = interleaved({"128^3 patch, nibabel": lambda: by_nibabel(packed)}, rounds=3)
        taken |= times | nibabel
        again = interleaved({side: lambda cases=cases: cases[next(draws)]}, rounds=7, calls=20)
        taken[side] = min(times[side], again[side], key=lambda timing: timing.median)
        report.add_timings({side: taken[side]} | nibabel)
        slow = "128^3 patch, nibabel"
        report.add_ratio(f"{side}: faster than nibabel", taken, slow, side, wanted=wanted)
        size = cases.stored.paths[0].stat().st_size / packed.stat().st_size
        bound = "<= 1.15" if codec == "blosc2" else ""
        report.add(f"store.codec={codec}: size over .nii.gz", size, "x", wanted=bound)


def by_nibabel(path: Path) -> np.ndarray:
    volume = np.asarray(nib.load(path).dataobj)
    starts = [np.random.randint(n - p + 1) for n, p in zip(volume.shape, PATCH, strict=True)]
    part = volume[tuple(slice(s, s + p) for s, p in zip(starts, PATCH, strict=True))]
    return part.astype(np.float32)


def epoch(report: Report, folder: Path) -> None:
    """One epoch of the hippocampus training cases, whole volumes padded to one shape."""
    data = DecathlonDataModule(
        root=os.environ["MEDLIGHT_DATA"], cache=folder / "cache", transforms=Volume(), patch="auto"
    )
    data.setup()
    patch, files = data.spec.patch, [data.cases[case].files for case in data.split.train]
    keys = ["image", "mask"]
    chain = Compose(
        [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            Orientationd(keys, axcodes="RAS", labels=None),
            NormalizeIntensityd(["image"]),
            ResizeWithPadOrCropd(keys, patch),
        ]
    )
    persistent = PersistentDataset(
        [{key: str(each[key]) for key in keys} for each in files], chain, folder / "monai"
    )
    loader = MonaiLoader(persistent, batch_size=4, shuffle=True)
    map_file = CaseDataset(
        data.cases.subset(data.split.train),
        store=Store(folder=folder / "cache" / "store", memory_gb=0),
        transforms=Volume(),
    ).with_patch(patch)
    timings = interleaved(
        {
            f"epoch of {len(files)} hippocampus volumes, PersistentDataset": lambda: walk(loader),
            "the same, medlight, from memory": lambda: walk(data.train_dataloader()),
            "the same, medlight, mapped": lambda: walk(batches(map_file)),
        },
        rounds=5,
    )
    report.add_timings(timings)
    slow, memory, disk = timings
    wanted = ">= 5"
    report.add_ratio("epoch: less CPU, from memory", timings, slow, memory, wanted=wanted)
    report.add_ratio("epoch: less CPU, mapped", timings, slow, disk, wanted="")


def batches(cases: CaseDataset) -> Iterator[dict[str, Any]]:
    for draws in TrainBatchSampler(len(cases), batch_size=4):
        yield collate(cases.__getitems__(draws))


def walk(loader: Any) -> None:
    for batch in loader:
        assert batch["image"].shape[0] == batch["mask"].shape[0]


def memory(report: Report, folder: Path) -> None:
    """1,000 volumes of 96^3, 1.8 GB, ten thousand patches of 32^3 from all over them."""
    shape, grid = (96, 96, 96), Grid((96, 96, 96))
    (folder / "raw").mkdir()
    names = [f"{case:04d}" for case in range(1000)]
    for name in names:
        (folder / "raw" / name).write_text(name)

    def build(case: Case) -> PreparedCase:
        noise = np.random.default_rng(int(case.id)).integers(-1000, 1000, (1, *shape))
        return PreparedCase(image=noise.astype(np.float32), mask=None, source_grid=grid, grid=grid)

    listed = [Case(id=n, patient=n, files={"image": folder / "raw" / n}) for n in names]
    store = Store(folder=folder / "store", memory_gb=0, num_workers=2)
    before = resident_mb()
    stored = store.open(listed, name="generated", recipe={}, build=build)
    report.add("1,000 volumes, 1.8 GB: prepared, memory grew by", resident_mb() - before, "MB")
    before, random = resident_mb(), np.random.default_rng(0)
    image = np.empty((1, 32, 32, 32), np.float32)
    for _ in range(10_000):
        starts = random.integers(0, 96 - 32, 3)
        window = tuple(slice(int(start), int(start) + 32) for start in starts)
        stored.read(int(random.integers(1000)), window, image, None)
    grown = resident_mb() - before
    report.add("10,000 patches of them: memory grew by", grown, "MB", wanted="<= 50")


def main() -> None:
    torch.set_num_threads(1)
    report = Report("store")
    steps: tuple[Callable[[Report, Path], None], ...] = (memory, patches, epoch)
    for step in steps:
        with tempfile.TemporaryDirectory() as folder:
            step(report, Path(folder))
    report.finish()


if __name__ == "__main__":
    main()
