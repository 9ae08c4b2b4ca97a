"""Regions that overlap become labels, and masks of labels become the regions they came from."""

import numpy as np
import pytest
import torch

from medlight.core.errors import ConfigError
from medlight.core.labels import region_class_order
from medlight.inference.heads import regions_to_labels

BRATS = {"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)}
"""The labels of BraTS up to 2022: 1 necrosis, 2 oedema, 4 enhancing tumour."""


def test_masks_that_become_regions_are_painted_back() -> None:
    labels = np.random.default_rng(0).choice([0, 1, 2, 4], size=(7, 6, 5)).astype(np.uint8)
    regions = np.stack([np.isin(labels, region) for region in BRATS.values()])
    assert (regions_to_labels(torch.from_numpy(regions).float(), BRATS).numpy() == labels).all()
    logits = torch.from_numpy(np.where(regions, 0.1, -0.1))
    assert (regions_to_labels(logits, BRATS, threshold=0).numpy() == labels).all()


def test_later_regions_cover_earlier_ones() -> None:
    """As nnU-Net's `convert_probabilities_to_segmentation` with regions_class_order [2, 1, 4]."""
    shares = torch.tensor([[0.9, 0.4, 0.9, 0.2, 0.5], [0.8, 0.6, 0.1, 0.1, 0.5],
                           [0.7, 0.2, 0.1, 0.6, 0.5]])  # fmt: skip
    expected = torch.zeros(5, dtype=torch.uint8)
    for channel, label in zip(shares, (2, 1, 4), strict=True):
        expected[channel > 0.5] = label
    assert regions_to_labels(shares, BRATS).tolist() == expected.tolist() == [4, 1, 2, 4, 0]


def test_regions_in_an_order_that_cannot_be_painted() -> None:
    assert region_class_order({"one": (1, 2), "other": (2, 3)}) == (1, 2)
    with pytest.raises(ConfigError, match=r"'core' has no label of its own.*larger regions before"):
        region_class_order({"core": (1, 4), "whole": (1, 2, 4)})
    with pytest.raises(ValueError, match="expected 3 channels"):
        regions_to_labels(torch.zeros(2, 4), BRATS)
