"""Findings that an image may have any of, and that nobody looked for in every image."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.losses.reduction import all_reduce_sum, world_size

UncertainPolicy = Literal["ignore", "zeros", "ones"]
UNCERTAIN = -1


class MaskedBCE(nn.Module):
    """Mean binary cross-entropy of (B, K) logits over the entries of a (B, K) target that are
    known in the global batch: 1 present, 0 absent, nan never annotated, -1 uncertain.

    Args:
        uncertain: what an uncertain entry counts as: "ignore" leaves it out, "zeros" takes it for
            absent, "ones" for present: the U-policies of CheXpert (Irvin et al. 2019).
    """

    def __init__(self, *, uncertain: UncertainPolicy = "ignore") -> None:
        super().__init__()
        if uncertain not in get_args(UncertainPolicy):
            known = ", ".join(get_args(UncertainPolicy))
            raise ConfigError(f"loss.uncertain must be one of {known}, got {uncertain}")
        self.uncertain = uncertain

    def bind(self, spec: DataSpec) -> None:
        labels = spec.labels
        if labels.exclusive or labels.numeric:
            fit = "dice_ce" if labels.per_voxel else "cross_entropy"
            raise ConfigError(
                "loss=masked_bce is for several labels per image, but the data has "
                f"{labels.describe()}{'' if labels.numeric else f': choose loss={fit}'}"
            )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        known, unsure = ~torch.isnan(target), target == UNCERTAIN
        if self.uncertain == "ignore":
            known = known & ~unsure
        truth = torch.where(unsure, float(self.uncertain == "ones"), target)
        # where nothing is known the loss is 0, and so is its gradient
        each = binary_cross_entropy_with_logits(
            logits, torch.where(known, truth, 0.0), weight=known.to(logits.dtype), reduction="sum"
        )
        return each * world_size() / all_reduce_sum(known.sum()).clamp(min=1)
