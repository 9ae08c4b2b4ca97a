"""What has no deterministic form is named; nothing is said where everything has one."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medlight.callbacks.determinism import Determinism


@pytest.fixture
def _only_named() -> Iterator[None]:
    """As with `Trainer(deterministic="warn")`."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


class Shaky(nn.CrossEntropyLoss):
    """Puts something at an index on the way, which torch cannot do the same way twice anywhere."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        torch.zeros(2).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
        return super().forward(output, target)


@pytest.mark.usefixtures("_only_named")
@pytest.mark.filterwarnings("default")
def test_operations_are_named_once(
    new_run: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback, shown = Determinism(), warnings.showwarning
    run = new_run("images", tmp_path, [callback], epochs=2)
    run.task.loss = Shaky()
    with caplog.at_level("WARNING", "medlight"):
        run.fit()
    assert callback.operations == ["put_"]
    assert [r.getMessage() for r in caplog.records if r.name.startswith("medlight")] == [
        "Not deterministic on this device: put_. Two runs may differ in the last bits."
    ]
    assert warnings.showwarning is shown


@pytest.mark.usefixtures("_only_named")
def test_nothing_is_said_where_all_is_deterministic(
    new_run: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback = Determinism()
    run = new_run("volumes", tmp_path, [callback])
    run.fit()
    run.test()
    assert callback.operations == []
    assert not [record for record in caplog.records if record.name.startswith("medlight")]
