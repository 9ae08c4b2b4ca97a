"""Muon: steps along orthogonalised momentum."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adamw import adamw

A, B, C = 3.4445, -4.7750, 2.0315
"""Of X <- A X + B (X X^T) X + C (X X^T)^2 X, by Jordan: steep where singular values are small."""
ITERATIONS = 5
AS_ADAMW = 0.2
"""Root mean square of a step, in units of the rate: that of AdamW (Liu et al. 2025)."""
TINY = 1e-7


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, for kernels and matrices; AdamW for biases and norms.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks", with the scale of
    Liu et al. 2025 (arXiv:2502.16982), so that rates and decays for AdamW are near what is right.
    `torch.optim.Muon` takes matrices only; a kernel (out, in, d, h, w) is here the matrix
    (out, in d h w).

    Args:
        params: weights; those that are no matrix (biases, norms, single tokens) go to AdamW.
        lr: rate of both.
        weight_decay: decoupled, of both.
        momentum: Nesterov's, of the matrices.
        betas, eps: of AdamW.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 3e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "betas": tuple(betas),
                "eps": eps,
            },
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            self._orthogonal([weight for weight in weights if is_matrix(weight)], group)
            self._adamw([weight for weight in weights if not is_matrix(weight)], group)
        return loss

    def _orthogonal(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        alike = defaultdict(list)
        for weight in weights:
            alike[weight.shape[0], weight[0].numel(), weight.device].append(weight)
        for (rows, columns, _), same in alike.items():
            moved = orthogonal(torch.stack([self._momentum(each, group) for each in same]))
            scale = group["lr"] * AS_ADAMW * math.sqrt(max(rows, columns))
            for weight, direction in zip(same, moved, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(direction.view(weight.shape).to(weight.dtype), alpha=scale)

    def _momentum(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        grad, momentum = weight.grad, group["momentum"]
        assert grad is not None
        state["momentum_buffer"].lerp_(grad, 1 - momentum)
        return grad.lerp(state["momentum_buffer"], momentum).flatten(1).float()

    def _adamw(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"] = torch.zeros_like(weight)
                state["exp_avg_sq"] = torch.zeros_like(weight)
        if not weights:
            return
        states = [self.state[weight] for weight in weights]
        adamw(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def is_matrix(weight: Tensor) -> bool:
    """Whether it maps several numbers to several: no bias, no norm, no single token."""
    return weight.ndim > 1 and 1 < weight.shape[0] < weight.numel()


def orthogonal(matrices: Tensor) -> Tensor:
    """Nearly U V^T of each U S V^T: singular values end between 0.7 and 1.2.

    The iteration runs on the Gram matrix of the shorter side, which halves its work: with
    P = A + B G + C G^2, each step is X <- P X and G <- P G P, and the P are gathered.

    Args:
        matrices: (n, rows, columns), float32.
    """
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    gram = x @ x.mT
    size = gram.diagonal(dim1=1, dim2=2).sum(1)[:, None, None].sqrt() + TINY
    gram = gram / size.square()
    identity = torch.eye(gram.shape[1], device=x.device, dtype=x.dtype)
    gathered = identity / size
    for _ in range(ITERATIONS):
        p = torch.baddbmm(gram, gram, gram, beta=B, alpha=C) + A * identity
        gathered = p @ gathered
        gram = p @ gram @ p
    found: Tensor = gathered @ x if wide else (gathered @ x).mT
    return found
