"""Cross-entropy with weights that may come from the data, and binary cross-entropy of labels that
were not annotated in every image."""

from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.losses.reduction import all_reduce_sum, world_size


class CrossEntropy(nn.Module):
    """Mean cross-entropy of (B, K) logits with (B,) classes, or (B, K, *S) with a (B, 1, *S) mask.

    Args:
        weight: one number for each label; "balanced": N / (K n_k), where n_k of the N training
            cases are of class k (King and Zeng 2001, scikit-learn's word); None: all alike. The
            mean is weighted, as torch does it, over the global batch.
        label_smoothing: share of the target that is spread evenly over all labels (Szegedy et al.
            2016).
    """

    region_based = False
    weight: Tensor | None

    def __init__(
        self,
        *,
        weight: Sequence[float] | Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if isinstance(weight, str) and weight != "balanced":
            raise ConfigError(f"loss.weight must be balanced, a list or null, got {weight}")
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"loss.label_smoothing must be in [0, 1), got {label_smoothing}")
        self.balanced, self.label_smoothing = weight == "balanced", label_smoothing
        given = None if weight is None or isinstance(weight, str) else torch.tensor(list(weight))
        # not in checkpoints: a run with other weights must be able to start from them
        self.register_buffer("weight", None if given is None else given.float(), persistent=False)

    def bind(self, spec: DataSpec) -> None:
        """Check that the labels fit, and take weights from the data if asked to.

        Args:
            spec: of the data.

        Raises:
            ConfigError: the labels do not exclude each other, or the weights do not fit them.
        """
        names = spec.labels.names
        if not spec.labels.exclusive:
            raise ConfigError(
                "loss=cross_entropy is for labels that exclude each other, but this data has "
                f"{spec.labels.describe()}; for several labels per image choose loss=masked_bce"
            )
        if self.balanced:
            self.weight = balanced_weights(spec)
        if self.weight is not None and len(self.weight) != len(names):
            raise ConfigError(
                f"loss.weight needs {len(names)} numbers, one for each of {', '.join(names)}; "
                f"got {len(self.weight)}"
            )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: (B, K) or (B, K, *S).
            target: (B,) classes, or a (B, 1, *S) mask.

        Returns:
            A scalar.
        """
        if target.ndim == logits.ndim:
            target = target[:, 0]
        entropy = partial(cross_entropy, label_smoothing=self.label_smoothing)
        if self.weight is None:
            return entropy(logits, target)
        weight = self.weight.to(logits)
        total = entropy(logits, target, weight=weight, reduction="sum")
        return total * world_size() / all_reduce_sum(weight[target].sum())


def balanced_weights(spec: DataSpec) -> Tensor:
    """Weigh classes, the more the rarer they are (King and Zeng 2001).

    Args:
        spec: of the data.

    Returns:
        (K,) N / (K n_k).

    Raises:
        ConfigError: cases have no class, or a class has no training case.
    """
    if spec.class_counts is None:
        raise ConfigError(
            "loss.weight=balanced counts the cases of each class, but this data has masks; give "
            f"a list of {len(spec.labels)} numbers, or choose a Dice loss"
        )
    for name, count in zip(spec.labels.names, spec.class_counts, strict=True):
        if not count:
            raise ConfigError(f"loss.weight=balanced: no training case is of class {name!r}")
    counts = torch.tensor(spec.class_counts, dtype=torch.float32)
    return counts.sum() / (len(counts) * counts)


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
        """Check that an image may have several of the labels.

        Args:
            spec: of the data.

        Raises:
            ConfigError: the labels exclude each other, or are numbers.
        """
        labels = spec.labels
        if labels.exclusive or labels.numeric:
            fit = "loss=dice_ce" if labels.per_voxel else "loss=cross_entropy"
            raise ConfigError(
                "loss=masked_bce is for several labels per image, but this data has "
                f"{labels.describe()}; choose {'a loss for numbers' if labels.numeric else fit}"
            )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: (B, K).
            target: (B, K) 1 present, 0 absent, nan never annotated, -1 uncertain.

        Returns:
            A scalar.
        """
        known, unsure = ~torch.isnan(target), target == UNCERTAIN
        if self.uncertain == "ignore":
            known = known & ~unsure
        truth = torch.where(unsure, float(self.uncertain == "ones"), target)
        # where nothing is known the loss is 0, and so is its gradient
        each = binary_cross_entropy_with_logits(
            logits, torch.where(known, truth, 0.0), weight=known.to(logits.dtype), reduction="sum"
        )
        return each * world_size() / all_reduce_sum(known.sum()).clamp(min=1)
