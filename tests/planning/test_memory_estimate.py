"""The estimate of memory, against arithmetic that a person can do."""

import pytest
import torch
from torch import nn

from medlight.core.errors import ConfigError
from medlight.planning.memory_estimate import estimate_training_bytes, find_device


def net() -> nn.Module:
    return nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 2, 1))


def test_what_is_kept_is_counted_once() -> None:
    """The backward pass needs the input, and the output of the ReLU, which is also the next
    input."""
    kept = 4 * 2 * (1 + 8) * 16**3
    weights = 4 * (8 * 27 + 8 + 2 * 8 + 2)
    estimate = estimate_training_bytes(net, (2, 1, 16, 16, 16))
    assert estimate == int(2.5 * kept + 5 * weights)  # weight, gradient, two moments, average


def test_nothing_is_computed() -> None:
    assert estimate_training_bytes(net, (64, 1, 512, 512, 512)) > 64 * 2**30


def test_memory_can_be_stated() -> None:
    stated = find_device(memory_gb=4.0)
    assert stated.memory == 4 * 2**30
    assert stated.gpu == torch.cuda.is_available()
    assert find_device().memory > 0


def test_another_machine_can_be_planned_for() -> None:
    assert find_device("gpu", 24.0).gpu
    assert not find_device("cpu", 24.0).gpu
    assert find_device("cpu").memory > 0
    with pytest.raises(ConfigError, match="accelerator is cpu or gpu, got tpu"):
        find_device("tpu", 24.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to measure")
def test_the_memory_of_a_gpu_that_is_elsewhere_must_be_said() -> None:
    with pytest.raises(ConfigError, match=r"none is here; state its memory"):
        find_device("gpu")
