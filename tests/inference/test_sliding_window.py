"""Windows cover the image, and blending changes nothing that needs no blending."""

import itertools

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from medlight.inference.sliding_window import SlidingWindow, window_places


def pointwise(image: torch.Tensor) -> torch.Tensor:
    """A net whose output at a voxel depends on that voxel alone."""
    return torch.cat([image, image**2, -image], dim=1)


@pytest.mark.parametrize("shape", [(17, 20, 9), (8, 8, 8), (5, 30, 8), (3, 4, 5)])
def test_a_pointwise_net_gives_the_same_with_windows(shape: tuple[int, ...]) -> None:
    image = torch.rand(1, *shape)
    logits = SlidingWindow(overlap=0.5, batch_size=3)(image, pointwise, (8, 8, 8))
    torch.testing.assert_close(logits, pointwise(image[None])[0])


@pytest.mark.parametrize("shape", [(32, 40), (64, 16)])
def test_equals_monai_where_windows_agree(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = torch.nn.Conv2d(1, 2, 5, padding=2).eval()
    image = torch.rand(1, *shape)
    with torch.no_grad():
        ours = SlidingWindow(overlap=0.5)(image, net, (16, 16))
        theirs = sliding_window_inference(
            image[None], (16, 16), 4, net, overlap=0.5, mode="gaussian", sigma_scale=0.125
        )[0]

    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
def test_windows_cover_and_overlap(overlap: float) -> None:
    for n in range(8, 40):
        places = [place[0] for place in window_places((n,), (8,), overlap)]
        covered = np.zeros(n, int)
        for place in places:
            assert place.stop - place.start == 8
            covered[place] += 1
        assert covered.min() >= 1
        starts = [place.start for place in places]
        assert starts[0] == 0
        assert places[-1].stop == n
        assert all(b - a <= 8 * (1 - overlap) + 1e-9 for a, b in itertools.pairwise(starts))


def test_overlap_is_checked() -> None:
    with pytest.raises(ValueError, match="overlap"):
        SlidingWindow(overlap=1.0)
