"""A net whose channels are regions goes the whole way of one whose channels are classes."""

import numpy as np
import pytest
import torch

from medlight.core.grid import Grid
from medlight.inference.ensemble import ensemble_predictor, merge_slabs
from medlight.inference.heads import (
    ForegroundEntropy,
    Head,
    SigmoidHead,
    SoftmaxHead,
    regions_to_labels,
)
from medlight.inference.resample_to_source import SourceResampler, resample_to_source
from medlight.inference.sliding_window import LabelMap, Slabs, SlidingWindow

BRATS = SigmoidHead({"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)})
EXCLUSIVE = SoftmaxHead()
HEADS: list[Head] = [EXCLUSIVE, BRATS]


def nets(count: int) -> list[torch.nn.Module]:
    torch.manual_seed(1)
    return [torch.nn.Conv3d(1, 3, 3, padding=1).eval() for _ in range(count)]


def binary_entropy(p: torch.Tensor) -> torch.Tensor:
    """Mean over (R, *S) questions, as a share of the largest."""
    each = -(p * p.log2() + (1 - p) * (1 - p).log2())
    return each.nan_to_num(0).mean(0)


@torch.no_grad()
def test_the_mean_of_sigmoids_over_nets_and_reflections() -> None:
    windows, members = torch.randn(2, 1, 6, 5, 4), nets(2)
    answers = [n(windows.flip(f)).flip(f).sigmoid() for n in members for f in ([], [2])]
    mean = torch.stack(answers).mean(0)
    found = ensemble_predictor(members, (0,), head=BRATS, with_entropy=True)(windows)
    torch.testing.assert_close(found[:, :3].sigmoid(), mean)
    own = torch.stack([binary_entropy(a.movedim(1, 0)) for a in answers]).mean(0)
    torch.testing.assert_close(found[:, 3] / BRATS.max_entropy(3), own)
    image = torch.randn(1, 9, 5, 4)
    parts = [(Slabs(0, iter(net(image[None])[0].split(size, 1))), 0.5)
             for net, size in zip(members, (2, 4), strict=True)]  # fmt: skip
    joined = torch.cat(list(merge_slabs(parts, head=BRATS).parts), 1)
    expected = sum(net(image[None])[0].sigmoid() for net in members) / 2
    torch.testing.assert_close(joined.sigmoid(), expected)


def test_certain_regions_stay_finite() -> None:
    def sure(windows: torch.Tensor) -> torch.Tensor:
        return 1e4 * torch.tensor([1.0, -1, -1]).reshape(1, 3, 1) + 0 * windows

    answer = ensemble_predictor([sure, sure], head=BRATS, with_entropy=True)(torch.zeros(2, 1, 5))
    assert torch.isfinite(answer).all()
    assert (regions_to_labels(answer[0, :3], BRATS.regions, threshold=0) == 2).all()


@pytest.mark.parametrize("probabilities", [False, True])
@torch.no_grad()
def test_painted_labels_come_home(probabilities: bool) -> None:
    """Windows, then interpolation of logits onto a finer, turned and larger grid: what painting
    interpolated logits of the whole image gives, with and without maps beside it."""
    [net], image = nets(1), torch.randn(1, 14, 12, 10)
    window = SlidingWindow()
    whole = window.slabs(image, net, (8, 8, 8))
    logits = torch.cat([part.clone() for part in whole.parts], whole.axis + 1)
    source = Grid((33, 24, 22), np.array(
        [[0, 0.5, 0, 0.1], [0, 0, -0.5, 9.2], [0.5, 0, 0, -3], [0, 0, 0, 1]]
    ))  # fmt: skip
    grid = Grid(image.shape[1:])
    doubt = ForegroundEntropy(BRATS)
    slabs = window.slabs(image, net, (8, 8, 8))
    written = LabelMap(image.shape[1:], slabs.axis, BRATS)
    resampler = SourceResampler(
        slabs.axis, grid, source, BRATS, probabilities=probabilities, uncertainty=probabilities
    )
    for part in slabs.parts:
        written.add(part)
        doubt.add(part)
        resampler.add(part)
    found, labels = resampler.finish(), written.labels
    np.testing.assert_array_equal(labels, regions_to_labels(logits.sigmoid(), BRATS.regions))
    share = binary_entropy(logits.sigmoid())
    assert doubt.value == pytest.approx(float(share[torch.from_numpy(labels) > 0].mean()), rel=1e-4)
    voxels = np.stack(np.meshgrid(*map(np.arange, source.shape), indexing="ij"), -1).reshape(-1, 3)
    place = source.to_world(voxels)  # the net's grid has its voxels at whole millimetres
    size = np.array(grid.shape)
    inside = ((place > -0.5) & (place < size - 0.5)).all(1).reshape(source.shape)
    unit = torch.from_numpy((2 * place + 1) / size - 1).float().flip(-1)[None, None, None]
    there = torch.nn.functional.grid_sample(
        logits[None], unit, padding_mode="border", align_corners=False
    ).reshape(3, *source.shape)
    expected = regions_to_labels(there.sigmoid(), BRATS.regions).numpy() * inside
    assert 0 < inside.mean() < 1
    assert len(np.unique(expected)) == 4
    assert (found.labels != expected).mean() < 1e-3
    if probabilities:
        np.testing.assert_allclose(found.probabilities, there.sigmoid().numpy() * inside, atol=1e-5)
        np.testing.assert_allclose(
            found.entropy, binary_entropy(there.sigmoid()).numpy() * inside, atol=1e-5
        )


@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_grids_that_are_not_parallel(head: Head) -> None:
    [net], image = nets(1), torch.randn(1, 10, 9, 8)
    whole = SlidingWindow().slabs(image, net, (8, 8, 8))
    logits = torch.cat([part.clone() for part in whole.parts], whole.axis + 1)
    half = head.center_(logits.clone()).half()  # as is kept of such a volume
    torch.testing.assert_close(head.labels(half.float()), head.labels(logits), rtol=0, atol=0)
    torch.testing.assert_close(
        head.probabilities(half.float()), head.probabilities(logits), rtol=0, atol=5e-4
    )
    sheared = np.eye(4)
    sheared[0, 1] = 0.4
    slabs = SlidingWindow().slabs(image, net, (8, 8, 8))
    home = resample_to_source(slabs, Grid(image.shape[1:]), Grid((10, 9, 8), sheared), head=head)
    np.testing.assert_array_equal(home.labels[:, 0], head.labels(logits)[:, 0])  # not moved there


def test_heads_that_differ_do_not_equal() -> None:
    other = SigmoidHead({"whole": (1, 2, 4), "core": (1, 4)})
    assert SigmoidHead(dict(BRATS.regions)) == BRATS != other
    assert EXCLUSIVE == SoftmaxHead() != BRATS
