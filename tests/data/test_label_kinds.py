"""Labels of every kind: what a sample carries, what the audit says and what can be planned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medlight.audit.labels import label_issues
from medlight.core.errors import ConfigError
from medlight.core.index import Index
from medlight.core.labels import Labels
from medlight.data.dataset import CaseDataset
from medlight.datasets.phantom import Phantom2DDataModule
from medlight.io.store.store import Store
from medlight.planning.fingerprint import extract_fingerprint
from medlight.planning.memory_estimate import PlannedDevice
from medlight.planning.rules import plan

AGES = np.array([[31.5], [70.0], [np.nan], [42.25]], np.float32)


class AgeDataModule(Phantom2DDataModule):
    """Phantom pictures with a number each."""

    def index(self) -> Index:
        found = super().index()
        return Index(
            labels=Labels(("age",), "number"),
            sources=found.sources,
            ids=found.ids,
            patients=found.ids,
            files={"image": [f"{case}.png" for case in found.ids]},
            tags=AGES,
        )


def ages(tmp_path: Path, cache: Path) -> AgeDataModule:
    store = Store(folder=tmp_path / "store")
    return AgeDataModule(cache=cache, n_cases=len(AGES), folds=2, val_fraction=0, store=store)


def test_numbers_arrive_as_they_are(tmp_path: Path, shared_cache: Path) -> None:
    data = ages(tmp_path, shared_cache)
    dataset = CaseDataset(data.full_index, store=Store(folder=tmp_path / "store"))
    labels = [dataset[row]["label"] for row in range(len(AGES))]
    np.testing.assert_array_equal(torch.stack(labels), AGES)
    assert data.cases.labels.encode({"age": 31.5}) == np.array([31.5], np.float32)
    data.setup()
    assert data.spec.class_counts is None


def test_the_audit_tells_the_range_of_numbers(tmp_path: Path, shared_cache: Path) -> None:
    [issue] = label_issues(ages(tmp_path, shared_cache).full_index, [], None)
    assert issue.message == "4 cases: age from 31.5 to 70 in 3"


def test_a_plan_fits_the_labels(tmp_path: Path, shared_cache: Path) -> None:
    pictures = Phantom2DDataModule(
        cache=shared_cache, n_cases=60, store=Store(folder=tmp_path / "store")
    )
    found, device = extract_fingerprint(pictures), PlannedDevice(memory=2**30, gpu=False)
    several = plan(replace(found, labels=Labels(("effusion",), "multilabel")), device)
    assert {each.key: each.value for each in several}.items() >= {
        "task": "multilabel", "loss": "masked_bce", "metric": "val/auroc"
    }.items()  # fmt: skip
    numbers = Labels(("age",), "number")
    with pytest.raises(ConfigError, match=numbers.describe()):
        plan(replace(found, labels=numbers), device)
