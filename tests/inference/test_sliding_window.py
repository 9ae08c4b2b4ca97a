"""Windows cover the image, and blending changes nothing that needs no blending."""

import itertools

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from medlight.inference.sliding_window import (
    LabelMap,
    Slabs,
    SlidingWindow,
    pad_to_window,
    window_starts,
)


def whole(slabs: Slabs) -> torch.Tensor:
    """The logits of the whole image."""
    return torch.cat([part.clone() for part in slabs.parts], slabs.axis + 1)


def pointwise(image: torch.Tensor) -> torch.Tensor:
    """A net whose output at a voxel depends on that voxel alone."""
    return torch.cat([image, image**2, -image], dim=1)


@pytest.mark.parametrize("shape", [(17, 20, 9), (8, 8, 8), (5, 30, 8), (3, 4, 5)])
def test_a_pointwise_net_gives_the_same_with_windows(shape: tuple[int, ...]) -> None:
    image = torch.rand(1, *shape)
    logits = whole(SlidingWindow(batch_size=3).slabs(image, pointwise, (8, 8, 8)))
    torch.testing.assert_close(logits, pointwise(image[None])[0])


@pytest.mark.parametrize("shape", [(32, 40), (64, 16), (49, 37)])
def test_equals_monai(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = torch.nn.Conv2d(1, 2, 5, padding=2).eval()
    image = torch.rand(1, *shape)
    with torch.no_grad():
        ours = whole(SlidingWindow(overlap=0.5).slabs(image, net, (16, 16)))
        theirs = sliding_window_inference(
            image[None], (16, 16), 4, net, overlap=0.5, mode="gaussian", sigma_scale=0.125
        )[0]

    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
def test_windows_cover_and_overlap(overlap: float) -> None:
    for n in range(8, 40):
        places = [slice(s, s + 8) for s in window_starts(n, 8, overlap)]
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


def conv_net(dims: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    return (torch.nn.Conv2d, torch.nn.Conv3d)[dims - 2](1, 3, 5, padding=2).eval()


@pytest.mark.parametrize("shape", [(8, 30, 9), (37, 12, 8), (9, 9, 9), (5, 40, 8), (4, 4, 4)])
@torch.no_grad()
def test_equals_monai_part_by_part(shape: tuple[int, ...]) -> None:
    net, image, window = conv_net(), torch.rand(1, *shape), (8, 8, 8)
    padded, inside = pad_to_window(image, window)
    theirs = sliding_window_inference(
        padded[None], window, 4, net, overlap=0.6, mode="gaussian", sigma_scale=0.125
    )[0][(slice(None), *inside)]
    slabs = SlidingWindow(overlap=0.6, batch_size=3).slabs(image, net, window)
    written, kept = LabelMap(shape, slabs.axis), []
    for part in slabs.parts:
        written.add(part)
        kept.append(part.clone())
    parts, labels = torch.cat(kept, slabs.axis + 1), written.labels
    torch.testing.assert_close(parts, theirs, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(labels, parts.argmax(0))


def test_what_surrounds_a_small_image_is_the_smallest_of_its_channel() -> None:
    seen = []

    def net(windows: torch.Tensor) -> torch.Tensor:
        seen.append(windows)
        return windows

    image = torch.stack([torch.full((2, 2), 3.0), torch.full((2, 2), -7.0)])
    whole(SlidingWindow().slabs(image, net, (4, 4)))
    assert seen[0].shape == (1, 2, 4, 4)
    assert seen[0][0].amin((1, 2)).tolist() == seen[0][0].amax((1, 2)).tolist() == [3, -7]
