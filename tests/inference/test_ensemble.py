"""Averages over nets and reflections are the averages of their probabilities."""

import itertools

import pytest
import torch

from medlight.augment.augment import Augment
from medlight.augment.spatial import Affine, Flip
from medlight.inference.ensemble import ensemble_predictor
from medlight.inference.heads import entropy


def nets(count: int) -> list[torch.nn.Module]:
    torch.manual_seed(0)
    return [torch.nn.Conv2d(1, 3, 3, padding=1).eval() for _ in range(count)]


@torch.no_grad()
def test_the_mean_of_probabilities_over_nets_and_reflections() -> None:
    windows, members = torch.randn(2, 1, 6, 5), nets(2)
    answers = [
        net(windows.flip(flip)).flip(flip).softmax(1)
        for net, flip in itertools.product(members, ([], [2], [3], [2, 3]))
    ]
    mean = torch.stack(answers).mean(0)
    answer = ensemble_predictor(members, (0, 1), with_entropy=True)(windows)
    torch.testing.assert_close(answer[:, :3].softmax(1), mean)
    torch.testing.assert_close(answer[:, :3].exp(), mean)
    single = torch.stack([-(p * p.log()).sum(1, keepdim=True) for p in answers]).mean(0)
    torch.testing.assert_close(answer[:, 3:], single)
    assert (entropy(answer[:, :3], dim=1) >= single[:, 0] - 1e-6).all()  # they disagree


@torch.no_grad()
def test_one_net_alone_is_itself() -> None:
    [net], windows = nets(1), torch.randn(2, 1, 6, 5)
    assert torch.equal(ensemble_predictor([net])(windows), net(windows))


def test_certain_answers_stay_finite() -> None:
    def sure(windows: torch.Tensor) -> torch.Tensor:
        return torch.stack([0 * windows[:, 0], 0 * windows[:, 0] - 1e4], 1)

    answer = ensemble_predictor([sure, sure], with_entropy=True)(torch.zeros(1, 1, 2, 2))
    assert torch.isfinite(answer).all()
    assert answer.argmax(1).unique().tolist() == [0]


@pytest.mark.parametrize("n", [2, 3])
def test_axes_that_training_mirrored(n: int) -> None:
    assert Augment().mirror_axes(n) == ()
    assert Augment(spatial={"a": Affine(rotate_degrees=10)}).mirror_axes(n) == ()
    assert Augment(spatial={"f": Flip(axes="all")}).mirror_axes(n) == tuple(range(n))
    assert Augment(spatial={"f": Flip(axes="left-right")}).mirror_axes(n) == (0 if n == 3 else 1,)
    assert Augment(spatial={"f": Flip(probability=0)}).mirror_axes(n) == ()
